package stage

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// AccessToken returns the token in the body of an answer (RFC 6749, section
// 5.1).
func AccessToken(body []byte) (string, error) {
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fmt.Errorf("the answer: %w", err)
	}
	if answer.Token == "" {
		return "", errors.New("the answer has no token")
	}
	return answer.Token, nil
}

// Unverified returns the header and the claims of a token as they are written
// (RFC 7515, section 7.1).
func Unverified(token string) (header, claims []byte, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, errors.New("not a signed token")
	}
	header, headErr := base64.RawURLEncoding.DecodeString(parts[0])
	claims, claimsErr := base64.RawURLEncoding.DecodeString(parts[1])
	return header, claims, errors.Join(headErr, claimsErr)
}

// KeyID returns the kid in the header of a token, "" if it has none.
func KeyID(token string) string {
	text, _, err := Unverified(token)
	if err != nil {
		return ""
	}
	var header struct {
		Kid string `json:"kid"`
	}
	_ = json.Unmarshal(text, &header) // no JSON, no kid
	return header.Kid
}
