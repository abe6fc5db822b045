package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/rotation"
	"m2m-token-enricher/plugin/visible"
)

// Bounds of what a gateway publishes.
const (
	listTimeout = 10 * time.Second
	maxListSize = 64 << 10 // bytes
)

// list prints the keys of a file, what is due of each and, with a URL, what a
// gateway publishes now and the difference, which is an error.
func (r *keysRun) list() error {
	s, err := rotation.Load(r.file)
	if err != nil {
		return err
	}
	var published []string
	if r.url != "" {
		if published, err = fetchPublished(r.url); err != nil {
			return err
		}
	}
	if err := r.printTable(s, published); err != nil {
		return err
	}
	return r.difference(s, published)
}

func (r *keysRun) printTable(s *rotation.Set, published []string) error {
	table := tabwriter.NewWriter(r.stdout, 0, 0, 2, ' ', 0)
	visible.Fprintf(table, "KID\tALG\tROLE\tSINCE\tAGE\tDUE")
	if r.url != "" {
		visible.Fprintf(table, "\tPUBLISHED")
	}
	for _, k := range s.Keys {
		since, age := r.since(k)
		visible.Fprintf(table, "\n%s\t%s\t%s\t%s\t%s\t%s", k.ID, k.Algorithm, k.Role, since, age, r.due(s, k))
		if r.url != "" {
			visible.Fprintf(table, "\t%s", map[bool]string{true: "yes", false: "no"}[slices.Contains(published, k.ID)])
		}
	}
	visible.Fprintf(table, "\n")
	return table.Flush()
}

// due tells the next step of the key, and when it may be taken. That of the
// signing key is that another one is added.
func (r *keysRun) due(s *rotation.Set, k rotation.Key) string {
	kid := k.ID
	if k.Role == rotation.Signing {
		kid = ""
	}
	steps := slices.DeleteFunc(s.Schedule(r.policy), func(step rotation.Step) bool { return step.Kid != kid })
	step := rotation.Foremost(steps, r.now)
	switch {
	case step == nil, s.PEM():
		return "-"
	case r.now.Before(step.Due):
		return fmt.Sprintf("%s in %v", step.Verb, step.Due.Sub(r.now).Round(time.Second))
	}
	return step.Verb + " now"
}

// since tells when the key came into its role, and how long ago that is.
func (r *keysRun) since(k rotation.Key) (since, age string) {
	at := map[rotation.Role]time.Time{
		rotation.Next: k.Created, rotation.Signing: k.Signing, rotation.Former: k.SignedUntil, rotation.Retired: k.Retired,
	}[k.Role]
	if at.IsZero() || k.Foreign {
		return "unknown", "unknown"
	}
	return at.UTC().Format(time.RFC3339), r.now.Sub(at).Round(time.Second).String()
}

// difference fails if the gateway at the URL doesn't publish what the file
// says.
func (r *keysRun) difference(s *rotation.Set, published []string) error {
	if r.url == "" {
		return nil
	}
	var differences []error
	for _, k := range s.Keys {
		if !slices.Contains(published, k.ID) {
			differences = append(differences, fmt.Errorf("%s is in the file, but not published", k.ID))
		}
	}
	for _, kid := range published {
		if !slices.ContainsFunc(s.Keys, func(k rotation.Key) bool { return k.ID == kid }) {
			differences = append(differences, fmt.Errorf("%s is published, but not in the file", kid))
		}
	}
	return errors.Join(differences...)
}

// client follows no redirect: another place may publish something else than
// the gateway does.
var client = http.Client{
	Timeout:       listTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func get(url string) ([]byte, error) {
	resp, err := client.Get(url)
	if err != nil {
		return nil, err // it names the method and the URL
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: status %d", url, resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxListSize+1))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	if len(text) > maxListSize {
		return nil, fmt.Errorf("get %s: more than %d bytes", url, maxListSize)
	}
	return text, nil
}

// fetchPublished returns the thumbprints of the keys at url.
func fetchPublished(url string) ([]string, error) {
	text, err := get(url)
	if err != nil {
		return nil, err
	}
	keys, err := jws.ParseProviderKeys(text)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	var kids []string
	for _, k := range keys {
		kids = append(kids, k.Thumbprint)
	}
	return kids, nil
}
