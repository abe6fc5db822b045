package gateway

import (
	"errors"
	"fmt"

	"m2m-token-enricher/plugin/jws"
)

// ErrPlainHTTP warns of keys that are fetched over plain http to another host.
var ErrPlainHTTP = errors.New("jwks_uri is plain http, which jwks_insecure_http allows: whoever is on the way can replace the keys")

// ProviderWarning returns what is wrong with the provider's keys although some can be
// used, nil if nothing is. It doesn't wait for the provider.
func (g *Gateway) ProviderWarning() error {
	var errs []error
	if g.Config.KeysOverPlainHTTP() {
		errs = append(errs, ErrPlainHTTP)
	}
	if faulty := jws.Faulty(g.Provider.Skipped()); len(faulty) > 0 {
		errs = append(errs, fmt.Errorf("%d can't be used, their tokens are refused: %s", len(faulty), jws.Describe(faulty)))
	}
	return errors.Join(errs...)
}
