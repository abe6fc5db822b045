package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"m2m-token-enricher/test/await"
	"m2m-token-enricher/test/measure"
	"m2m-token-enricher/test/stage"
)

// keysCommand runs one of the product's own keys commands.
func (s *soak) keysCommand(args ...string) (string, error) {
	out, err := exec.Command(s.binary, append([]string{"keys"}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("keys %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// rotate makes a new key sign and retires the previous one. Two steps need force: APIs may cache the published set for
// minutes, and tokens live for hours. The only API here fetches the set for every
// key that it doesn't know, and keeps no token.
func (s *soak) rotate(ctx context.Context) error {
	if old, err := s.keyOf("retired"); err != nil {
		return err
	} else if old != "" {
		if _, err := s.keysCommand("remove", "--force", s.keyFile, old); err != nil {
			return err
		}
	}
	if _, err := s.keysCommand("add", "--type", "ec", s.keyFile); err != nil {
		return err
	}
	next, err := s.keyOf("next")
	if err != nil {
		return err
	}
	if err := s.follows(ctx, s.published); err != nil {
		return err
	}
	if _, err := s.keysCommand("promote", "--force", s.keyFile, next); err != nil {
		return err
	}
	if err := s.follows(ctx, func() error { return s.signs(next) }); err != nil {
		return err
	}
	former, err := s.keyOf("former")
	if err != nil {
		return err
	}
	_, err = s.keysCommand("retire", s.keyFile, former)
	return err
}

// published fails until the gateway publishes the keys of the file.
func (s *soak) published() error {
	_, err := s.keysCommand("list", "--url", s.gateway.URL()+"/m2m/jwks.json", s.keyFile)
	return err
}

// keyOf is the first key in a role, "" if none is.
func (s *soak) keyOf(role string) (string, error) {
	list, err := s.keysCommand("list", s.keyFile)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(list) {
		if words := strings.Fields(line); len(words) > 2 && words[2] == role {
			return words[0], nil
		}
	}
	return "", nil
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
