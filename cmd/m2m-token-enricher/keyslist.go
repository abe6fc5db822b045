package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/rotation"
	"m2m-token-enricher/plugin/visible"
)

// list prints the keys of a file and the next step of each. With a URL, it
// compares them with the keys that a gateway publishes. A difference is an error.
func (r *keysRun) list(ctx context.Context) error {
	s, err := rotation.Load(r.file)
	if err != nil {
		return err
	}
	var published []string
	if r.url != "" {
		if published, err = fetchPublished(ctx, r.url); err != nil {
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

// due returns the next step of the key, and when it is due. After the signing key,
// the next step is to add another one.
func (r *keysRun) due(s *rotation.Set, k rotation.Key) string {
	kid := k.ID
	if k.Role == rotation.Signing {
		kid = ""
	}
	steps := slices.DeleteFunc(s.Schedule(r.policy), func(step rotation.Step) bool { return step.Kid != kid })
	step := rotation.NextStep(steps, r.now)
	switch {
	case step == nil, s.PEM():
		return "-"
	case r.now.Before(step.Due):
		wait := step.Due.Sub(r.now)
		unit := precision(wait)
		return step.Verb + " in " + visible.Duration((wait + unit - 1).Truncate(unit)) // never too early
	}
	return step.Verb + " now"
}

// since returns when the key got its role, and how long ago that was.
func (r *keysRun) since(k rotation.Key) (since, age string) {
	at := map[rotation.Role]time.Time{
		rotation.Next: k.Created, rotation.Signing: k.Signing, rotation.Former: k.SignedUntil, rotation.Retired: k.Retired,
	}[k.Role]
	if at.IsZero() || k.Foreign {
		return "unknown", "unknown"
	}
	ago := r.now.Sub(at)
	return at.UTC().Format(time.RFC3339), visible.Duration(ago.Truncate(precision(ago)))
}

// precision is how exactly a duration is shown: days without minutes, hours
// without seconds.
func precision(d time.Duration) time.Duration {
	switch {
	case d.Abs() >= 24*time.Hour:
		return time.Hour
	case d.Abs() >= time.Hour:
		return time.Minute
	}
	return time.Second
}

// difference returns an error if the gateway at the URL doesn't publish the keys of
// the file.
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

// fetchPublished returns the thumbprints of the keys at url.
func fetchPublished(ctx context.Context, url string) ([]string, error) {
	gateway := jws.NewProvider("", url, nil, time.Now)
	defer gateway.Close()
	keys, err := gateway.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("fetch the published keys: %w", err)
	}
	var kids []string
	for _, k := range keys {
		kids = append(kids, k.Thumbprint)
	}
	return kids, nil
}
