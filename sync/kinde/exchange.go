package kinde

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Limits in bytes: of an answer, and of what an error shows of it.
const (
	maxAnswer  = 8 << 20
	maxMessage = 512
)

// failure is why a request failed, and whether to try again.
type failure struct {
	err   error
	retry bool
	after time.Duration // the wait that the tenant asks for; zero if none
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// refusal is an answer other than 200.
type refusal struct {
	method, path  string
	status        int
	code, message string // the tenant's words; may be empty
	api           bool   // code is in the API's own form
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("%s %s: status %d", r.method, r.path, r.status)
	if r.status/100 == 3 {
		text += ", a redirect, which isn't followed"
	}
	for _, word := range []string{r.code, r.message} {
		switch {
		case len(word) > maxMessage: // not cut, because redaction can't find a part of a secret
			text += fmt.Sprintf(": [%d bytes]", len(word))
		case word != "":
			text += fmt.Sprintf(": %q", word)
		}
	}
	return text
}

// errTenant is wrapped by an error that concerns the tenant or the caller, not
// the one record that was asked for. Requests for other records would fail, too.
var errTenant = errors.New("the tenant can't be asked")

// tenantError makes an error wrap errTenant and keeps its text.
type tenantError struct{ error }

func (e tenantError) Unwrap() []error { return []error{e.error, errTenant} }

// exchange makes one request and returns the body of its answer. The error is
// a *failure.
func (c *Client) exchange(req *http.Request) ([]byte, error) {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "m2m-token-enricher")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &failure{err: tenantError{err}, retry: true} // err names the method and the URL
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, c.refused(resp, text)
	case err != nil:
		return nil, &failure{err: tenantError{fmt.Errorf("read the answer of %s %s: %w", req.Method, req.URL.EscapedPath(), err)}, retry: true}
	case len(text) > maxAnswer:
		return nil, &failure{err: fmt.Errorf("answer of %s %s: more than %d bytes", req.Method, req.URL.EscapedPath(), maxAnswer)}
	}
	return text, nil
}

func (c *Client) refused(resp *http.Response, text []byte) *failure {
	r := &refusal{method: resp.Request.Method, path: resp.Request.URL.EscapedPath(), status: resp.StatusCode}
	r.explain(text)
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests:
		return &failure{tenantError{r}, true, reset(resp.Header, c.now())}
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status/100 == 3:
		return &failure{err: tenantError{r}}
	}
	return &failure{err: r, retry: resp.StatusCode >= http.StatusInternalServerError}
}

// explain takes code and message from the body of a refusal. The API answers
// with a list of errors or a single one. The token endpoint answers as RFC 6749,
// section 5.2, says.
func (r *refusal) explain(text []byte) {
	type reason struct{ Code, Message string }
	var body struct {
		Errors      json.RawMessage `json:"errors"`
		Error       string          `json:"error"`
		Description string          `json:"error_description"`
	}
	if decode(text, &body) != nil {
		return // a proxy's page: the status says enough
	}
	var one reason
	var list []reason
	if json.Unmarshal(body.Errors, &list) == nil && len(list) > 0 {
		one = list[0]
	} else {
		_ = json.Unmarshal(body.Errors, &one) // it stays empty if this isn't the API's error
	}
	r.code, r.message, r.api = one.Code, one.Message, one.Code != ""
	if !r.api {
		r.code, r.message = body.Error, body.Description
	}
}

// opaque has another text than its cause. errors.Is finds the cause, errors.As
// doesn't.
type opaque struct {
	text  string
	cause error
}

func (e *opaque) Error() string { return e.text }

// Is implements the interface of errors.Is.
func (e *opaque) Is(target error) bool { return errors.Is(e.cause, target) }

// withoutSecrets returns err without the client secret and the tokens, which an
// answer may have repeated.
func (c *Client) withoutSecrets(err error) error {
	text := err.Error()
	for _, secret := range append(c.bearer.issued(), c.credentials.ClientSecret) {
		quoted := strconv.Quote(string(secret))
		quoted = quoted[1 : len(quoted)-1] // as %q writes it
		text = strings.NewReplacer(string(secret), "[redacted]", quoted, "[redacted]").Replace(text)
	}
	if text == err.Error() {
		return err
	}
	return &opaque{text, err}
}
