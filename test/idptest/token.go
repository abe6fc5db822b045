package idptest

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// token is the token endpoint (RFC 6749, section 4.4). It answers other grants
// with a user's tokens: tests check that these pass.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	fault, clients := p.state()
	if fault.Answer != nil {
		fault.Answer(w, r)
		return
	}
	if r.Method == http.MethodOptions {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	form, err := readForm(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	if want, ok := clients[id]; !ok || want != secret {
		w.Header().Set("WWW-Authenticate", `Basic realm="idp"`)
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	p.issue(w, fault, id, form)
}

func (p *Provider) issue(w http.ResponseWriter, fault Fault, client string, form url.Values) {
	scope := strings.Fields(form.Get("scope"))
	var audience []string
	for _, a := range form["audience"] {
		audience = append(audience, strings.Fields(a)...)
	}
	claims := p.Claims(client, append([]string{}, audience...), append([]string{}, scope...))
	if fault.Claims != nil {
		fault.Claims(claims)
	}
	token, err := p.Sign(claims)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "server_error")
		return
	}
	if fault.Token != nil {
		token = fault.Token(token)
	}
	body := map[string]any{"access_token": token, "expires_in": p.tokenLifetime(), "scope": strings.Join(scope, " "), "token_type": "bearer"}
	if form.Get("grant_type") != "client_credentials" {
		body["refresh_token"] = "refresh"
	}
	if fault.Body != nil {
		fault.Body(body)
	}
	w.Header().Set("ETag", `"idp"`)
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, body)
}

// readForm reads the parameters of a form or of a JSON body.
func readForm(r *http.Request) (url.Values, error) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media != "application/json" {
		err := r.ParseForm()
		return r.Form, err
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	var body map[string]any
	if err := json.Unmarshal(text, &body); err != nil {
		return nil, err
	}
	form := url.Values{}
	for name, value := range body {
		switch v := value.(type) {
		case string:
			form.Add(name, v)
		case []any:
			for _, element := range v {
				if s, ok := element.(string); ok {
					form.Add(name, s)
				}
			}
		}
	}
	return form, nil
}

func refuse(w http.ResponseWriter, status int, code string) {
	writeJSON(w, status, map[string]string{"error": code, "error_description": "refused by the stub provider"})
}
