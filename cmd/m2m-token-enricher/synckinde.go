package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/sync/kinde"
	"m2m-token-enricher/sync/reconcile"
)

// tenant is a Kinde tenant, and the credentials for it.
type tenant struct{ url, clientID, secretFile string }

// Credentials of the management API in the environment.
const (
	clientIDVariable     = "KINDE_CLIENT_ID"
	clientSecretVariable = "KINDE_CLIENT_SECRET"
)

func (t *tenant) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "tenant", Destination: &t.url, Usage: "The `URL` of the tenant, such as https://example.kinde.com; unset: the configured issuer"},
		&cli.StringFlag{Name: "client-id", Destination: &t.clientID, Usage: "The `ID` of an application that may call the management API; also in " + clientIDVariable},
		&cli.StringFlag{Name: "client-secret-file", Destination: &t.secretFile, Usage: "Read its secret from this `FILE`; the secret itself may be in " + clientSecretVariable},
	}
}

func (t *tenant) origin(cfg *schema.Config) string {
	if t.url == "" && cfg != nil {
		return cfg.Issuer
	}
	return strings.TrimSuffix(t.url, "/")
}

// client returns a client of the management API. The caller must close it.
func (t *tenant) client(cfg *schema.Config) (*kinde.Client, error) {
	credentials := kinde.Credentials{
		ClientID:     cmp.Or(t.clientID, os.Getenv(clientIDVariable)),
		ClientSecret: schema.Secret(os.Getenv(clientSecretVariable)),
	}
	if t.secretFile != "" {
		text, err := os.ReadFile(t.secretFile)
		if err != nil {
			return nil, fmt.Errorf("read the client secret: %w", err)
		}
		credentials.ClientSecret = schema.Secret(strings.TrimSpace(string(schema.WithoutMark(text))))
	}
	client, err := kinde.New(t.origin(cfg), credentials)
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}

// kinde copies the records of a Kinde tenant.
func (r *syncRun) kinde([]string) error {
	if r.cfg == nil {
		return usageError{errors.New("-c KONG_YML is needed, because it names the properties of the organization and the user")}
	}
	client, err := r.tenant.client(r.cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	client.Warn = func(warning string) { r.log.Warn(warning) }
	client.Names = r.target.names
	var checkpoint *reconcile.Checkpoint
	if r.state != "" {
		checkpoint = reconcile.NewCheckpoint(r.state, r.tenant.origin(r.cfg)+" "+r.store.String())
	}
	return r.from(&kinde.Source{
		Client:    client,
		Relations: map[schema.Kind][]string{schema.Organization: properties(r.cfg.Organization), schema.User: properties(r.cfg.User)},
	}, checkpoint, nil)
}

// properties returns the properties of an application that may name the record of
// relation.
func properties(relation schema.Relation) (names []string) {
	for _, source := range relation.From {
		if kind, name := schema.Source(source); kind == schema.Application {
			names = append(names, name)
		}
	}
	return names
}

// webhook receives the tenant's events until the context ends.
func (r *syncRun) webhook([]string) error {
	if r.listen == "" {
		return usageError{errors.New("--listen is needed")}
	}
	client, err := r.tenant.client(r.cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	client.Names = r.target.names
	origin := r.tenant.origin(r.cfg)
	keys := jws.NewProvider(origin, origin+"/.well-known/jwks", nil, time.Now)
	defer keys.Close()
	verifier := jws.NewVerifier(origin, []string{"RS256"}, 0, keys, time.Now)
	mux := http.NewServeMux()
	mux.Handle(r.path, kinde.NewWebhook(client, r.store, payloadBy(verifier), func(line string) { r.log.Info(line) }))
	mux.HandleFunc("GET /healthz", r.answerHealth)
	listening, err := listen(r.listen)
	if err != nil {
		return err
	}
	return serveHTTP(r.ctx, listening, mux)
}

// payloadBy returns a function that verifies events. While the tenant's keys can't
// be fetched, it asks the tenant to send the event again.
func payloadBy(v *jws.Verifier) func(context.Context, string) ([]byte, error) {
	return func(ctx context.Context, event string) ([]byte, error) {
		payload, err := v.Payload(ctx, event)
		if errors.Is(err, jws.ErrKeysUnavailable) {
			err = fmt.Errorf("%w: %w", schema.ErrUnavailable, err)
		}
		return payload, err
	}
}

// answerHealth answers 200 while Redis does.
func (r *syncRun) answerHealth(w http.ResponseWriter, request *http.Request) {
	ctx, cancel := context.WithTimeout(request.Context(), 5*time.Second)
	defer cancel()
	if err := r.store.Ping(ctx); err != nil {
		http.Error(w, "Redis doesn't answer", http.StatusServiceUnavailable)
	}
}
