package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/measure"
	"m2m-token-enricher/test/stage"
)

// rotate makes a new key sign and retires the previous one. Two steps need force: APIs may cache the published set for
// minutes, and tokens live for hours. The only API here fetches the set for every
// key that it doesn't know, and keeps no token.
func (s *soak) rotate(ctx context.Context) error {
	if old, err := s.keyInRole(ctx, "retired"); err != nil {
		return err
	} else if old != "" {
		if _, err := stage.KeysCommand(ctx, s.binary, "remove", "--force", s.keyFile, old); err != nil {
			return err
		}
	}
	if _, err := stage.KeysCommand(ctx, s.binary, "add", "--type", "ec", s.keyFile); err != nil {
		return err
	}
	next, err := s.keyInRole(ctx, "next")
	if err != nil {
		return err
	}
	if err := s.follows(ctx, func() error { return s.published(ctx) }); err != nil {
		return err
	}
	if _, err := stage.KeysCommand(ctx, s.binary, "promote", "--force", s.keyFile, next); err != nil {
		return err
	}
	if err := s.follows(ctx, func() error { return s.signs(next) }); err != nil {
		return err
	}
	former, err := s.keyInRole(ctx, "former")
	if err != nil {
		return err
	}
	_, err = stage.KeysCommand(ctx, s.binary, "retire", s.keyFile, former)
	return err
}

// published fails until the gateway publishes the keys of the file.
func (s *soak) published(ctx context.Context) error {
	_, err := stage.KeysCommand(ctx, s.binary, "list", "--url", s.gateway.URL()+"/m2m/jwks.json", s.keyFile)
	return err
}

func (s *soak) keyInRole(ctx context.Context, role string) (string, error) {
	return stage.KeyInRole(ctx, s.binary, s.keyFile, role)
}

// signs fails until the key kid signs.
func (s *soak) signs(kid string) error {
	c := &measure.Client{Address: measure.HostPort(s.gateway.URL())}
	var body bytes.Buffer
	if err := errors.Join(c.Ask(measure.TokenRequest(measure.ApplicationID(0)), &body), c.Close()); err != nil {
		return err
	}
	token, err := stage.AccessToken(body.Bytes())
	if err != nil {
		return err
	}
	s.tally.tokens.Add(1)
	if signer := stage.KeyID(token); signer != kid {
		return fmt.Errorf("the signing key is %s, want %s", signer, kid)
	}
	return nil
}

// followTime is how long a gateway may take to follow the key file, which it
// reads every five seconds, when the machine is busy.
const followTime = 30 * time.Second

// follows waits until try succeeds.
func (s *soak) follows(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, followTime)
	defer cancel()
	return await.Success(ctx, try)
}
