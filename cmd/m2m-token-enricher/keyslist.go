package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"text/tabwriter"
	"time"

	"m2m-token-enricher/plugin/jws"
	"m2m-token-enricher/plugin/rotation"
)

// Bounds of what a gateway publishes.
const (
	listTimeout = 10 * time.Second
	maxListSize = 64 << 10 // bytes
)

// list prints the keys of a file and, with a URL, what a gateway publishes now
// and the difference, which is an error.
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
	table := tabwriter.NewWriter(r.stdout, 0, 0, 2, ' ', 0)
	header := "KID\tALG\tROLE\tSINCE\tAGE"
	if r.url != "" {
		header += "\tPUBLISHED"
	}
	fmt.Fprintln(table, header)
	for _, k := range s.Keys {
		since, age := r.since(k)
		row := fmt.Sprintf("%s\t%s\t%s\t%s\t%s", k.ID, k.Algorithm, k.Role, since, age)
		if r.url != "" {
			row += map[bool]string{true: "\tyes", false: "\tno"}[slices.Contains(published, k.ID)]
		}
		fmt.Fprintln(table, row)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return r.difference(s, published)
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

// fetchPublished returns the thumbprints of the keys at url.
func fetchPublished(url string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxListSize))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: status %d", url, resp.StatusCode)
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
