package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/stage"
)

// showRotation adds a key, waits until it is published, lets it sign and shows
// that the tokens of both keys verify.
func (d *demo) showRotation(ctx context.Context) error {
	before, err := ask(ctx, d.gateway.URL(), stage.Client, "https://api.example.com")
	if err != nil {
		return err
	}
	if err := d.playKeys(ctx, "add", "--type", "ec", d.keyFile); err != nil {
		return err
	}
	err = await.Success(ctx, func() error {
		_, err := d.keys(ctx, "list", "--url", d.gateway.URL()+"/m2m/jwks.json", d.keyFile)
		return err // fails until the gateway publishes the keys of the file
	})
	if err != nil {
		return err
	}
	if err := d.playKeys(ctx, "list", "--url", d.gateway.URL()+"/m2m/jwks.json", d.keyFile); err != nil {
		return err
	}
	next, err := stage.KeyInRole(ctx, d.binary, d.keyFile, "next")
	if err != nil {
		return err
	}
	if err := d.playKeys(ctx, "promote", "--force", d.keyFile, next); err != nil {
		return err
	}
	return d.showBothKeys(ctx, before.token, next)
}

// showBothKeys waits until the key next signs and verifies a token of each key.
func (d *demo) showBothKeys(ctx context.Context, before, next string) error {
	var after answer
	err := await.Success(ctx, func() (err error) {
		if after, err = ask(ctx, d.gateway.URL(), stage.Client, "https://api.example.com"); err != nil {
			return err
		}
		if stage.KeyID(after.token) != next {
			return errors.New("the new key doesn't sign yet")
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, token := range []struct{ name, text string }{{"before", before}, {"after", after.token}} {
		if _, err := stage.Verify(ctx, d.gateway.URL()+"/m2m/jwks.json", stage.Issuer, token.text); err != nil {
			return fmt.Errorf("the token from %s: %w", token.name, err)
		}
		fmt.Printf("   The token from %-6s is signed with %s and verifies.\n", token.name, stage.KeyID(token.text))
	}
	return nil
}

// playKeys runs a keys command and shows it as a reader would type it.
func (d *demo) playKeys(ctx context.Context, args ...string) error {
	out, err := d.keys(ctx, args...)
	if err != nil {
		return err
	}
	shown := strings.ReplaceAll(strings.Join(args, " "), d.keyFile, "keys.json")
	play("keys "+shown, out)
	return nil
}
