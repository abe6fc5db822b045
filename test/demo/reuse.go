package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/stage"
)

// useReuse lets the gateway reuse answers for two seconds, or for longer while the
// provider fails.
func (d *demo) useReuse() error {
	text, err := os.ReadFile(d.kongYML)
	if err != nil {
		return err
	}
	text, err = stage.Edit(text, func(config map[string]any) {
		config["reuse"] = map[string]any{"enabled": true, "max_age": 2, "if_provider_fails": true}
	})
	if err != nil {
		return err
	}
	return d.gateway.Reload(text)
}

// showReuse asks twice, stops the provider, waits until the answer is too old, and
// asks again.
func (d *demo) showReuse(ctx context.Context) error {
	if err := d.useReuse(); err != nil {
		return err
	}
	printCurl(d.gateway.URL(), stage.Client, "https://api.example.com")
	var first, second answer
	var before int
	err := await.Success(ctx, func() (err error) { // until the gateway has the new configuration
		before = d.calls()
		if first, err = d.askReused(ctx); err != nil {
			return err
		}
		if second, err = d.askReused(ctx); err == nil && (second.token != first.token || d.calls() != before+1) {
			err = errors.New("the second request isn't answered by the first one's token")
		}
		return err
	})
	if err != nil {
		return err
	}
	d.printReused("The first request", first, 1)
	d.printReused("The same request again", second, d.calls()-before)

	d.provider.Close()
	var late answer
	err = await.Success(ctx, func() (err error) {
		late, err = d.askReused(ctx)
		if err == nil && !strings.Contains(d.gateway.Log(), "outcome=reused_in_outage") {
			err = errors.New("the log has no reused_in_outage")
		}
		return err
	})
	if err != nil {
		return err
	}
	if late.token != second.token {
		return errors.New("the token during the outage is another one")
	}
	d.printReused("The provider is down", late, d.calls()-before)
	return nil
}

// askReused asks for a token as all steps do. Kong answers with an error in the
// moment when the provider stops.
func (d *demo) askReused(ctx context.Context) (answer, error) {
	a, err := ask(ctx, d.gateway.URL(), stage.Client, "https://api.example.com")
	if err == nil && a.token == "" {
		err = fmt.Errorf("status %d, want a token", a.status)
	}
	return a, err
}

// calls is how often the provider was asked for a token.
func (d *demo) calls() int { return d.provider.Hits("/oauth2/token") }

func (d *demo) printReused(when string, a answer, calls int) {
	claims, err := claimsOf(a.token)
	if err != nil {
		return
	}
	fmt.Printf("   %-22s: token %s, calls to the provider: %d\n", when, claims["jti"], calls)
}
