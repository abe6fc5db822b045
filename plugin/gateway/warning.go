package gateway

import (
	"fmt"

	"m2m-token-enricher/plugin/jws"
)

// ProviderWarning returns what is wrong with the provider's keys although some can be
// used, nil if nothing is. It doesn't wait for the provider.
func (g *Gateway) ProviderWarning() error {
	faulty := jws.Faulty(g.Provider.Skipped())
	if len(faulty) == 0 {
		return nil
	}
	return fmt.Errorf("%d can't be used, their tokens are refused: %s", len(faulty), jws.Describe(faulty))
}
