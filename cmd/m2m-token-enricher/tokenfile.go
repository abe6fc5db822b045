package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// maxTokenFile is how large a file with a token may be.
const maxTokenFile = 1 << 20

// savedToken is what a file has of a token.
type savedToken struct {
	token  string
	answer string // the provider's whole answer, "" if the file has none
}

// readToken reads a token from a file, which is safer than a command line. The
// errors are about the file, and show nothing of its content.
func readToken(name string) (savedToken, error) {
	text, err := readText(name, maxTokenFile)
	if err != nil {
		return savedToken{}, err
	}
	saved, err := tokenIn(text)
	if err != nil {
		return savedToken{}, fmt.Errorf("%s: %w", inputName(name), err)
	}
	return saved, nil
}

// tokenIn finds the access_token of a token answer, or the only token in any other
// text.
func tokenIn(text string) (saved savedToken, err error) {
	text, err = bodyOf(strings.ReplaceAll(text, "\r\n", "\n"))
	switch text = strings.TrimSpace(text); {
	case err != nil:
	case text == "":
		err = errors.New("is empty; save the token in it")
	case text[0] == '{':
		return tokenOfAnswer(text)
	case text[0] == '[':
		err = errNoMember
	default:
		saved.token, err = onlyToken(text)
	}
	return saved, err
}

// bodyOf returns the body of an HTTP response, after the headers of all responses
// before it. Any other text is returned as it is.
func bodyOf(text string) (string, error) {
	response := false
	for strings.HasPrefix(strings.TrimSpace(text), "HTTP/") {
		_, text, _ = strings.Cut(strings.TrimSpace(text), "\n\n")
		response = true
	}
	if response && strings.TrimSpace(text) == "" {
		return "", errors.New("the HTTP response has no body; save the body")
	}
	return text, nil
}

var errNoMember = errors.New("no access_token at the top of the JSON, where the gateway looks for it; save the token alone")

// tokenOfAnswer finds the access_token of a JSON object. Some programs write its
// name as accessToken. Then the object isn't the provider's answer.
func tokenOfAnswer(text string) (savedToken, error) {
	names, values, err := members(text)
	var found []int
	for i, name := range names {
		if strings.EqualFold(strings.ReplaceAll(name, "_", ""), "accesstoken") {
			found = append(found, i)
		}
	}
	switch {
	case err != nil:
		return savedToken{}, err
	case len(found) > 1:
		return savedToken{}, errors.New("access_token twice; keep the one that you ask about")
	case len(found) == 0 && slices.Contains(names, "error"):
		return savedToken{}, errors.New("is an error answer, so it has no access_token; save an answer with status 200")
	case len(found) == 0:
		return savedToken{}, errNoMember
	}
	token, isText := values[found[0]].(string)
	if !isText || token == "" {
		return savedToken{}, errors.New("its access_token is empty or isn't a text; save an answer with a token")
	}
	saved := savedToken{token: token}
	if names[found[0]] == "access_token" {
		saved.answer = text
	}
	return saved, whole(token)
}

// members returns the names and values in a JSON object, in their order.
func members(text string) (names []string, values []any, err error) {
	in := json.NewDecoder(strings.NewReader(text))
	_, err = in.Token()
	for err == nil && in.More() {
		var value any
		name, nameErr := in.Token()
		err = errors.Join(nameErr, in.Decode(&value))
		names, values = append(names, fmt.Sprint(name)), append(values, value)
	}
	if _, end := in.Token(); err != nil || end != nil {
		return nil, nil, errors.New("incomplete JSON; save the whole answer, or the token alone")
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, nil, errors.New("more than one JSON value; save one answer")
	}
	return names, values, nil
}

// Forms of a token in a text. A token that isn't a JWT is the only word.
var (
	dotted = regexp.MustCompile(`[\w-]+(?:\.[\w-]*)+`)
	rest   = regexp.MustCompile(`^\s+[\w.-]+(?:\s|$)`) // a word alone
	opaque = regexp.MustCompile(`^(?i:(?:authorization:\s*)?bearer\s+)?["']?([\w.~+/-]+=*)["']?$`)
	broken = regexp.MustCompile(`\beyJ`) // is how {" begins in base64url
)

var errCutOff = errors.New("the token is cut off, or broken over several lines; save the whole token in one line")

// onlyToken returns the only JWT in a text, or else its only word.
func onlyToken(text string) (string, error) {
	var tokens []string
	for _, at := range dotted.FindAllStringIndex(text, -1) {
		token := text[at[0]:at[1]]
		if !hasHeader(token) {
			continue
		}
		if whole(token) != nil || continues(text[at[1]:]) {
			return "", errCutOff
		}
		if !slices.Contains(tokens, token) {
			tokens = append(tokens, token)
		}
	}
	if len(tokens) > 1 {
		return "", fmt.Errorf("%d tokens; keep the access token alone", len(tokens))
	}
	if len(tokens) == 1 {
		return tokens[0], nil
	}
	if broken.MatchString(text) {
		return "", errCutOff
	}
	if word := opaque.FindStringSubmatch(text); word != nil {
		return word[1], nil
	}
	return "", errors.New("no token in it; save the token, or the whole answer")
}

// continues reports whether what follows a token may be the rest of it.
func continues(after string) bool {
	word := strings.TrimSpace(rest.FindString(after))
	return word != "" && !hasHeader(word)
}

// whole returns an error if token is a part of a JWT. A signed one has three parts,
// an encrypted one five.
func whole(token string) error {
	parts := strings.Count(token, ".") + 1
	if (hasHeader(token) || strings.HasPrefix(token, "eyJ")) && (!hasHeader(token) || parts != 3 && parts != 5) {
		return errCutOff
	}
	return nil
}

// hasHeader reports whether token begins with the header of a JWT.
func hasHeader(token string) bool {
	first, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	var header struct{ Alg string }
	return err == nil && json.Unmarshal(text, &header) == nil && header.Alg != ""
}
