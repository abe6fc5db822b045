package e2e

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"m2m-token-enricher/test/idptest"
)

// TestClientsInManyForms: a client may name itself in the forms that providers
// take, and send the body as its library does.
func TestClientsInManyForms(t *testing.T) {
	const guid, spaced, urlForm = "aaaabbbb-cccc-dddd-eeee-ffff00001111", "My Billing Service", "application/x-www-form-urlencoded"
	w := newWorld(t, nil)
	for _, id := range []string{guid, spaced} {
		w.record("app:"+id, "org_code", org)
	}
	assertion := func(claims string) string {
		encode := base64.RawURLEncoding.EncodeToString
		return "&client_assertion_type=" + url.QueryEscape("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") +
			"&client_assertion=" + encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(claims)) + ".c2ln"
	}
	const grant = "grant_type=client_credentials&client_secret=s"
	for _, tt := range []struct {
		name, contentType, body, user string
		claims                        map[string]any // that name the client
		refused                       bool
	}{
		{"GUID in upper case", urlForm, grant + "&client_id=" + strings.ToUpper(guid), "", map[string]any{"azp": guid}, false},
		{"GUID of appid", urlForm, grant + "&client_id=" + guid, "", map[string]any{"appid": guid}, false},
		{"another GUID", urlForm, grant + "&client_id=" + strings.Replace(guid, "a", "b", 1), "", map[string]any{"azp": guid}, true},
		{"client id with spaces", urlForm, grant + "&client_id=My+Billing+Service", "", map[string]any{"azp": spaced, "client_id": spaced}, false},
		{"spaces in Basic", urlForm, "grant_type=client_credentials&client_id=", spaced, map[string]any{"client_id": spaced}, false},
		{"workload identity", urlForm, grant + "&client_id=" + guid + assertion(`{"iss":"https://oidc.example.com/c","sub":"system:serviceaccount:a:b"}`), "", map[string]any{"azp": guid}, false},
		{"assertion of another", urlForm, grant + assertion(`{"iss":"other","sub":"other"}`), "", map[string]any{"azp": guid}, true},
		{"ISO-8859-1", urlForm + "; charset=ISO-8859-1", grant + "&client_id=" + guid, "", map[string]any{"azp": guid}, false},
		{"utf8", urlForm + "; charset=utf8", grant + "&client_id=" + guid, "", map[string]any{"azp": guid}, false},
		{"charset without a value", urlForm + "; charset=", grant + "&client_id=" + guid, "", map[string]any{"azp": guid}, false},
		{"semicolon in a secret", urlForm, "grant_type=client_credentials&client_id=" + guid + "&client_secret=ab;cd", "", map[string]any{"azp": guid}, false},
		{"JSON with nulls", "application/json", fmt.Sprintf(`{"grant_type":"client_credentials","client_id":%q,"client_secret":"s","client_assertion":null}`, guid), "", map[string]any{"cid": guid}, false},
	} {
		w.Run(tt.name, func(*testing.T) {
			w.provider.Misbehave(idptest.Fault{Answer: func(rw http.ResponseWriter, _ *http.Request) {
				claims := w.provider.Claims("", []string{"https://a"}, nil)
				delete(claims, "azp")
				for name, value := range tt.claims {
					claims[name] = value
				}
				token, err := w.provider.Sign(claims)
				if err != nil {
					w.Error(err)
				}
				rw.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(rw, `{"access_token":%q,"token_type":"bearer"}`, token)
			}})
			req, err := http.NewRequest(http.MethodPost, w.gateway.URL()+"/oauth2/token", strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", tt.contentType)
			if tt.user != "" {
				req.SetBasicAuth(tt.user, "s")
			}
			a := w.send(http.DefaultClient, req)
			if tt.refused {
				w.refused(a, 502, "server_error", "client_mismatch")
				return
			}
			if claims := w.issued(a); claims["org_code"] != org {
				w.Errorf("got org_code %v, want %s", claims["org_code"], org)
			}
		})
	}
}
