package measure

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"m2m-token-enricher/test/idptest"
	"m2m-token-enricher/test/stage"
)

// ManagementClient asks for tokens of the provider's management API.
const ManagementClient = "00000000000000000000000000000a91"

// Provider is a stub provider that signs in advance: each application always
// gets the same token.
type Provider struct {
	*idptest.Provider
	Tokens map[string]string // by client id
	Delay  time.Duration     // of the token endpoint; not to be changed once it serves
}

// StartProvider starts a provider whose tokens are for ids and for
// ManagementClient. Its key is an RSA key, as Kinde's are, or of Ed25519, which
// signs a hundred thousand tokens in seconds.
func StartProvider(algorithm string, ids []string) (*Provider, error) {
	stub, err := idptest.Start(stage.Issuer)
	if err != nil {
		return nil, err
	}
	p := &Provider{Provider: stub, Tokens: map[string]string{}}
	if algorithm != "RS256" {
		err = stub.Rotate(algorithm)
	}
	if err == nil {
		err = p.sign(ids)
	}
	if err != nil {
		stub.Close()
		return nil, err
	}
	stub.Misbehave(idptest.Fault{Answer: p.answer})
	return p, nil
}

// sign makes the tokens, on every core.
func (p *Provider) sign(ids []string) (err error) {
	var mu sync.Mutex // of err and p.Tokens
	var signers sync.WaitGroup
	workers := runtime.NumCPU()
	for w := range workers {
		signers.Go(func() {
			for i := w; i < len(ids); i += workers {
				token, failure := p.Sign(p.Claims(ids[i], []string{"https://api.example.com"}, []string{"read"}))
				mu.Lock()
				p.Tokens[ids[i]] = token
				if failure != nil {
					err = failure
				}
				mu.Unlock()
			}
		})
	}
	signers.Wait()
	if err != nil {
		return err
	}
	p.Tokens[ManagementClient], err = p.Sign(p.Claims(ManagementClient, []string{p.ManagementAudience()}, nil))
	return err
}

// answer is the token endpoint.
func (p *Provider) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	_, rest, _ := strings.Cut(string(body), "client_id=")
	id, _, _ := strings.Cut(rest, "&")
	if err != nil || p.Tokens[id] == "" {
		http.Error(w, "no such client", http.StatusUnauthorized)
		return
	}
	time.Sleep(p.Delay)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, p.Body(id))
}

// Body is the answer of the token endpoint to the application called id.
func (p *Provider) Body(id string) string {
	return fmt.Sprintf(`{"access_token":"%s","expires_in":%d,"scope":"read","token_type":"bearer"}`, p.Tokens[id], idptest.Lifetime)
}
