package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"m2m-token-enricher/test/stage"
)

// added returns the codes before and after a new claim, which is green on a
// terminal.
func added() (string, string) {
	if info, err := os.Stdout.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("NO_COLOR") != "" {
		return "", ""
	}
	return "\x1b[32m", "\x1b[0m"
}

// show plays the demo: each step prints a request and its answer, and fails if
// the answer isn't what the product promises.
func (d *demo) show(ctx context.Context) error {
	steps := []struct {
		title string
		play  func(context.Context) error
	}{
		{"A token straight from the provider says which application calls:", d.showBefore},
		{"The same request through the gateway; what it added is marked with +:", d.showAfter},
		{"A token for the provider's management API leaves untouched:", d.showManagement},
		{"An application without a record is refused:", d.showUnknown},
		{"A key rotates, and no token is lost; the gateway follows the file by itself:", d.showRotation},
		{"A Kinde workflow file sets the claims, instead of the mapping in kong.yml:", d.showWorkflow},
		{"With reuse, a repeated request doesn't reach the provider, and works while it is down:", d.showReuse},
	}
	for i, step := range steps {
		fmt.Printf("%d. %s\n\n", i+1, step.title)
		if err := step.play(ctx); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		fmt.Println()
	}
	return nil
}

func (d *demo) showBefore(ctx context.Context) error {
	a, err := ask(ctx, d.provider.URL(), stage.Client, "https://api.example.com")
	if err != nil {
		return err
	}
	printCurl(d.provider.URL(), stage.Client, "https://api.example.com")
	return printClaims(a.token, nil)
}

func (d *demo) showAfter(ctx context.Context) error {
	raw, err := ask(ctx, d.provider.URL(), stage.Client, "https://api.example.com")
	if err != nil {
		return err
	}
	enriched, err := d.showEnriched(ctx, raw.token)
	if err != nil {
		return err
	}
	jwks := d.gateway.URL() + "/m2m/jwks.json"
	if _, err := stage.Verify(ctx, jwks, stage.Issuer, raw.token); err == nil {
		return errors.New("the provider's own token verifies with the gateway's keys")
	}
	fmt.Printf("   It verifies with the keys at %s;\n   the provider's own token doesn't.\n", jwks)
	return d.showAPI(ctx, enriched, raw.token)
}

// showEnriched shows what the gateway adds to a token like raw. It returns the new
// token.
func (d *demo) showEnriched(ctx context.Context, raw string) (string, error) {
	a, err := ask(ctx, d.gateway.URL(), stage.Client, "https://api.example.com")
	if err != nil {
		return "", err
	}
	before, err := claimsOf(raw)
	if err != nil {
		return "", err
	}
	printCurl(d.gateway.URL(), stage.Client, "https://api.example.com")
	if err := printClaims(a.token, before); err != nil {
		return "", err
	}
	claims, err := stage.Verify(ctx, d.gateway.URL()+"/m2m/jwks.json", stage.Issuer, a.token)
	if err != nil {
		return "", fmt.Errorf("verify the new token: %w", err)
	}
	if claims["org_code"] != "org_8ed648340ea9" || claims["org_name"] != "Acme Inc" {
		return "", fmt.Errorf("the new token names %v", claims["org_code"])
	}
	return a.token, nil
}

// showAPI sends both tokens to the API behind the gateway.
func (d *demo) showAPI(ctx context.Context, enriched, raw string) error {
	for _, call := range []struct {
		name, token string
		status      int
	}{{"enriched", enriched, http.StatusOK}, {"provider's", raw, http.StatusUnauthorized}} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.gateway.URL()+"/orders", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+call.token)
		resp, body, err := do(req)
		if err != nil {
			return err
		}
		if resp.StatusCode != call.status {
			return fmt.Errorf("the API answers the %s token with %d", call.name, resp.StatusCode)
		}
		fmt.Printf("   GET /orders with the %s token: %d %s\n", call.name, resp.StatusCode, strings.TrimSpace(string(body)))
	}
	return nil
}

func (d *demo) showManagement(ctx context.Context) error {
	a, err := ask(ctx, d.gateway.URL(), stage.Client, stage.Issuer+"/api")
	if err != nil {
		return err
	}
	printCurl(d.gateway.URL(), stage.Client, stage.Issuer+"/api")
	if err := printClaims(a.token, nil); err != nil {
		return err
	}
	if _, err := stage.Verify(ctx, d.provider.JWKSURI(), stage.Issuer, a.token); err != nil {
		return fmt.Errorf("verify with the provider's keys: %w", err)
	}
	fmt.Println("   It is the provider's own: it verifies with the provider's keys.")
	return nil
}

func (d *demo) showUnknown(ctx context.Context) error {
	a, err := ask(ctx, d.gateway.URL(), stage.Unknown, "https://api.example.com")
	if err != nil {
		return err
	}
	printCurl(d.gateway.URL(), stage.Unknown, "https://api.example.com")
	fmt.Printf("   %d %s\n", a.status, a.body)
	if a.status != http.StatusBadRequest || a.token != "" {
		return fmt.Errorf("got status %d, want a refusal", a.status)
	}
	return nil
}

func printCurl(url, id, audience string) { fmt.Printf("   $ %s\n\n", curl(url, id, audience)) }

// curl is a command that asks for a token.
func curl(url, id, audience string) string {
	return fmt.Sprintf("curl -s %s/oauth2/token -d grant_type=client_credentials \\\n       -d client_id=%s -d client_secret=%s -d audience=%s", url, id, stage.Secret, audience)
}

// answer is the answer of a token endpoint.
type answer struct {
	status int
	body   string
	token  string
}

func ask(ctx context.Context, base, id, audience string) (answer, error) {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {stage.Secret}, "audience": {audience},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, body, err := do(req)
	if err != nil {
		return answer{}, err
	}
	token, err := stage.AccessToken(body)
	if err != nil && resp.StatusCode == http.StatusOK {
		return answer{}, fmt.Errorf("%s: %w", base, err)
	}
	return answer{resp.StatusCode, strings.TrimSpace(string(body)), token}, nil
}

func do(req *http.Request) (*http.Response, []byte, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp, body, err
}

func claimsOf(token string) (map[string]json.RawMessage, error) {
	_, text, err := stage.Unverified(token)
	if err != nil {
		return nil, err
	}
	var claims map[string]json.RawMessage
	return claims, json.Unmarshal(text, &claims)
}

// printClaims prints a token's claims, and marks those that aren't in before
// unless that is nil.
func printClaims(token string, before map[string]json.RawMessage) error {
	claims, err := claimsOf(token)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if _, ok := before[name]; before != nil && !ok {
			from, to := added()
			fmt.Printf("   %s+ %-9s %s%s\n", from, name, claims[name], to)
			continue
		}
		fmt.Printf("     %-9s %s\n", name, claims[name])
	}
	fmt.Println()
	return nil
}
