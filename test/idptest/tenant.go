package idptest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Tenant is a running stub of a Kinde tenant: a provider that also has the
// management API. Add registers the clients that may call it, and Hits counts
// its calls, by unescaped path. Safe for concurrent use; the properties that it
// was given must not be modified.
type Tenant struct {
	*Provider

	lock          sync.Mutex              // of what follows
	applications  map[string]Application  // by id
	organizations map[string]Organization // by code
	users         map[string]User         // by id
	used          map[string]bool         // by jti: whether the token is revoked
	replaced      map[string]http.HandlerFunc
	faults        faults
}

// Application is an application of a tenant. The values of Properties are
// strings or nil; a test may give others, which the real API doesn't.
type Application struct {
	ID, Name, Type string
	Properties     map[string]any
}

// Organization is an organization of a tenant. Empty fields are null in the
// API's answer.
type Organization struct {
	Code, Name, Handle, ExternalID string
	IsSuspended                    bool
	Properties                     map[string]any
}

// User is a user of a tenant. Empty fields are null in the API's answer, and a
// nil IsSuspended is left out.
type User struct {
	ID, Email, FirstName, LastName string
	IsSuspended                    *bool
	Properties                     map[string]any
}

// StartTenant starts a tenant without applications, organizations and users,
// whose issuer is its own URL. Close ends it.
func StartTenant() (*Tenant, error) {
	p, err := newProvider()
	if err != nil {
		return nil, err
	}
	t := &Tenant{
		Provider:     p,
		applications: map[string]Application{}, organizations: map[string]Organization{}, users: map[string]User{},
		used: map[string]bool{}, replaced: map[string]http.HandlerFunc{},
	}
	routes := p.routes()
	routes.Handle("/api/", t.misbehaving(t.authorized(t.api())))
	p.serve("", t.replacing(routes))
	return t, nil
}

// SetApplication adds a or replaces the application of its id.
func (t *Tenant) SetApplication(a Application) { set(t, t.applications, a.ID, a) }

// RemoveApplication removes the application that id names.
func (t *Tenant) RemoveApplication(id string) { remove(t, t.applications, id) }

// SetOrganization adds o or replaces the organization of its code.
func (t *Tenant) SetOrganization(o Organization) { set(t, t.organizations, o.Code, o) }

// RemoveOrganization removes the organization that code names.
func (t *Tenant) RemoveOrganization(code string) { remove(t, t.organizations, code) }

// SetUser adds u or replaces the user of its id.
func (t *Tenant) SetUser(u User) { set(t, t.users, u.ID, u) }

func set[V any](t *Tenant, all map[string]V, id string, v V) {
	t.lock.Lock()
	defer t.lock.Unlock()
	all[id] = v
}

func remove[V any](t *Tenant, all map[string]V, id string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	delete(all, id)
}

func find[V any](t *Tenant, all map[string]V, id string) (V, bool) {
	t.lock.Lock()
	defer t.lock.Unlock()
	v, ok := all[id]
	return v, ok
}

func sorted[V any](t *Tenant, all map[string]V) []string {
	t.lock.Lock()
	defer t.lock.Unlock()
	return slices.Sorted(maps.Keys(all))
}

// RevokeTokens makes the API refuse every token that it has accepted so far.
func (t *Tenant) RevokeTokens() {
	t.lock.Lock()
	defer t.lock.Unlock()
	for jti := range t.used {
		t.used[jti] = true
	}
}

// authorized passes calls with a token of the tenant's own that is for the
// management API and of a client that is registered.
func (t *Tenant) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			deny(w, http.StatusUnauthorized, "TOKEN_MISSING", "no bearer token")
			return
		}
		if err := t.check(token); err != nil {
			deny(w, http.StatusUnauthorized, "TOKEN_INVALID", err.Error())
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (t *Tenant) check(token string) error {
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, t.verificationKey,
		jwt.WithAudience(t.ManagementAudience()), jwt.WithIssuer(t.Issuer()), jwt.WithExpirationRequired())
	if err != nil {
		return err
	}
	client, _ := claims["azp"].(string)
	if _, clients := t.Provider.state(); clients[client] == "" {
		return fmt.Errorf("client %q is not registered", client)
	}
	jti, _ := claims["jti"].(string)
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.used[jti] {
		return fmt.Errorf("token %q is revoked", jti)
	}
	t.used[jti] = false
	return nil
}

func (t *Tenant) verificationKey(token *jwt.Token) (any, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.published {
		if k.kid == token.Header["kid"] && k.method == token.Method {
			return k.private.Public(), nil
		}
	}
	return nil, fmt.Errorf("no key %v", token.Header["kid"])
}

// Webhook returns the body of a webhook for an event of eventType, such as
// organization.updated: a JWT that the current key signed, an RSA key unless
// Rotate made another.
func (t *Tenant) Webhook(eventType string, data map[string]any) string {
	token, err := t.Sign(map[string]any{
		"type": eventType, "event_id": "event_" + rand.Text(), "event_timestamp": time.Now().UTC().Format(time.RFC3339),
		"source": "admin", "data": data,
	})
	if err != nil {
		panic(err) // the key is the stub's own; only data that has no JSON can fail
	}
	return token
}
