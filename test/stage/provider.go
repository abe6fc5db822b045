package stage

import "m2m-token-enricher/test/idptest"

// Clients of the provider that the demo and compose run. Unknown has no record.
const (
	Client  = "299627bd8bfa493f8b17e6aec8ebfb86"
	Unknown = "0f6ac7a1d2b24f0b8e1a2c3d4e5f6071"
	Secret  = "demo-secret"
)

// StartProvider starts the stub provider with those clients.
func StartProvider() (*idptest.Provider, error) {
	p, err := idptest.Start(Issuer)
	if err != nil {
		return nil, err
	}
	p.Add(Client, Secret)
	p.Add(Unknown, Secret)
	return p, nil
}
