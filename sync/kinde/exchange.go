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

// Bounds in bytes: of one answer, and of what an error shows of one.
const (
	maxAnswer  = 8 << 20
	maxMessage = 512
)

// failure is why one request failed, and whether it may be made again.
type failure struct {
	err   error
	again bool
	after time.Duration // what the tenant asks to wait; zero if it doesn't say
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// refusal is an answer other than 200.
type refusal struct {
	method, path  string
	status        int
	code, message string // the tenant's words; may be empty
	api           bool   // code is in the form that the API has
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("%s %s: status %d", r.method, r.path, r.status)
	if r.status/100 == 3 {
		text += ", a redirect, which isn't followed"
	}
	for _, said := range []string{r.code, r.message} {
		switch {
		case len(said) > maxMessage: // not cut: redaction doesn't know a part of a secret
			text += fmt.Sprintf(": [%d bytes]", len(said))
		case said != "":
			text += fmt.Sprintf(": %q", said)
		}
	}
	return text
}

// errTenant is what an error is that isn't about the one record that was asked
// for, but about the tenant or the caller: asking for another record would end in
// the same.
var errTenant = errors.New("the tenant can't be asked")

// ofTenant makes an error one of the tenant, with the same text.
type ofTenant struct{ error }

func (e ofTenant) Unwrap() error        { return e.error }
func (e ofTenant) Is(target error) bool { return target == errTenant }

// Is implements the interface of errors.Is.
func (r *refusal) Is(target error) bool {
	switch r.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return target == errTenant
	}
	return target == errTenant && r.status/100 == 3
}

// exchange makes one request and returns the body of its answer. The error is
// a *failure.
func (c *Client) exchange(req *http.Request) ([]byte, error) {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "m2m-token-enricher")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &failure{err: ofTenant{err}, again: true} // it names the method and the URL
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, c.refused(resp, text)
	case err != nil:
		return nil, &failure{err: ofTenant{fmt.Errorf("read the answer of %s %s: %w", req.Method, req.URL.EscapedPath(), err)}, again: true}
	case len(text) > maxAnswer:
		return nil, &failure{err: fmt.Errorf("answer of %s %s: more than %d bytes", req.Method, req.URL.EscapedPath(), maxAnswer)}
	}
	return text, nil
}

func (c *Client) refused(resp *http.Response, text []byte) *failure {
	r := &refusal{method: resp.Request.Method, path: resp.Request.URL.EscapedPath(), status: resp.StatusCode}
	r.explain(text)
	f := &failure{err: r}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		f.again, f.after = true, reset(resp.Header, c.now())
	case resp.StatusCode >= http.StatusInternalServerError:
		f.again = true
	}
	return f
}

// explain takes code and message from the body of a refusal. The API has a list
// of errors or, for what it doesn't know, a single one; the token endpoint has
// that of RFC 6749, section 5.2.
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
		_ = json.Unmarshal(body.Errors, &one) // it stays empty if this is no error of the API's
	}
	r.code, r.message, r.api = one.Code, one.Message, one.Code != ""
	if !r.api {
		r.code, r.message = body.Error, body.Description
	}
}

// opaque is an error that errors.Is takes for its cause, but that doesn't
// unwrap to it.
type opaque struct {
	text  string
	cause error
}

func (e *opaque) Error() string { return e.text }

// Is implements the interface of errors.Is.
func (e *opaque) Is(target error) bool { return errors.Is(e.cause, target) }

// withoutSecrets returns err, but without the client secret and the tokens if
// the tenant, or what answers in its place, repeated them.
func (c *Client) withoutSecrets(err error) error {
	text := err.Error()
	for _, secret := range append(c.bearer.issued(), c.credentials.ClientSecret) {
		quoted := strconv.Quote(string(secret))
		quoted = quoted[1 : len(quoted)-1] // as it is within what %q writes
		text = strings.NewReplacer(string(secret), "[redacted]", quoted, "[redacted]").Replace(text)
	}
	if text == err.Error() {
		return err
	}
	return &opaque{text, err}
}
