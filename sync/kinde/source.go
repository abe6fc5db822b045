package kinde

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/sync/reconcile"
)

// typeM2M is the type of the applications that get tokens of their own.
const typeM2M = "m2m"

// parallel is how many requests run at once. With more, the tenant's rate limit
// is reached sooner.
const parallel = 8

// Source is a tenant as the source of records: its M2M applications, and the
// organizations and users that they name. It warns, through the client, of those
// that the tenant doesn't have.
type Source struct {
	Client *Client
	// Relations are the properties of an application that name its organization
	// and its user. The first that has a value counts.
	Relations map[schema.Kind][]string
}

// Pages implements [reconcile.Source], with one page for each page of the tenant.
func (s *Source) Pages(ctx context.Context, from string) iter.Seq2[reconcile.Page, error] {
	return func(yield func(reconcile.Page, error) bool) {
		known := map[schema.Kind]map[string]bool{}
		start := from
		for page, err := range s.Client.Applications(ctx, from) {
			if err != nil {
				yield(reconcile.Page{}, cantResume(from, err))
				return
			}
			complete, err := s.complete(ctx, page.Applications, known)
			at := start
			complete.Next, start = page.Next, page.Next
			complete.Reread = func(ctx context.Context, ids map[schema.Kind][]string) (reconcile.Page, error) {
				return s.reread(ctx, at, ids, known)
			}
			if !yield(complete, err) || err != nil {
				return
			}
		}
	}
}

// reread reads the records of ids again. Applications come from the page that
// begins at at, because only its list has their names and types.
func (s *Source) reread(ctx context.Context, at string, ids map[schema.Kind][]string, known map[schema.Kind]map[string]bool) (reconcile.Page, error) {
	var applications []Application
	if asked := ids[schema.Application]; len(asked) > 0 {
		page, err := s.Client.page(ctx, at)
		if err != nil {
			return reconcile.Page{}, s.Client.withoutSecrets(fmt.Errorf("applications: %w", err))
		}
		applications = slices.DeleteFunc(page.Applications, func(a Application) bool { return !slices.Contains(asked, a.ID) })
	}
	page, err := s.complete(ctx, applications, known)
	if err != nil {
		return page, err
	}
	for kind, read := range s.related() {
		if err := readAll(ctx, &page, kind, ids[kind], read, func(string) {}); err != nil {
			return page, err
		}
	}
	return page, nil
}

// cantResume marks an error that may come from the position where the pages
// should have begun.
func cantResume(from string, err error) error {
	r, refused := errors.AsType[*refusal](err)
	if from != "" && refused && r.status == http.StatusBadRequest {
		return fmt.Errorf("%w: %w", reconcile.ErrCantResume, err)
	}
	return err
}

// reader reads one record.
type reader func(ctx context.Context, id string) (schema.Record, error)

// related are the readers of what applications name.
func (s *Source) related() map[schema.Kind]reader {
	return map[schema.Kind]reader{schema.Organization: s.Client.Organization, schema.User: s.Client.User}
}

// complete reads the records of applications and of what they name. known are
// the organizations and users of earlier pages; it adds those of this one.
func (s *Source) complete(ctx context.Context, list []Application, known map[schema.Kind]map[string]bool) (reconcile.Page, error) {
	page := reconcile.Page{Records: map[schema.Kind][]records.Entry{}, Failed: map[schema.Kind][]reconcile.Failure{}}
	applications := map[string]Application{}
	for _, a := range list {
		if a.Type == typeM2M {
			applications[a.ID] = a
		}
	}
	read := func(ctx context.Context, id string) (schema.Record, error) {
		record, err := s.Client.ApplicationProperties(ctx, id)
		return s.withOwnFields(record, applications[id]), err
	}
	deleted := func(string) {} // since it was listed
	if err := readAll(ctx, &page, schema.Application, slices.Sorted(maps.Keys(applications)), read, deleted); err != nil {
		return page, err
	}
	readable := slices.Clone(page.Records[schema.Application])
	for _, f := range page.Failed[schema.Application] { // a suspension of what such an application names must be seen
		readable = append(readable, records.Entry{ID: f.ID, Properties: ambiguous(f.Err)})
	}
	for kind, read := range s.related() {
		// Tokens that need an absent one are refused, but the other records are written.
		absent := func(id string) { s.Client.warnf("the tenant has no %s %s, which an application names", kind, id) }
		if err := readAll(ctx, &page, kind, s.unknown(kind, readable, known), read, absent); err != nil {
			return page, err
		}
	}
	return page, nil
}

// withOwnFields adds an application's own fields to its properties. Without them,
// Redis couldn't keep an application that has no properties.
func (s *Source) withOwnFields(record schema.Record, a Application) schema.Record {
	if record == nil {
		return nil
	}
	first := slices.Concat([]string{"type", "name"}, s.Relations[schema.Organization], s.Relations[schema.User])
	return s.Client.withinLimits(schema.Application, a.ID, record, fields{"name": a.Name, "type": a.Type}, first)
}

// unknown returns the identifiers that applications name and that aren't known,
// and makes them known.
func (s *Source) unknown(kind schema.Kind, applications []records.Entry, known map[schema.Kind]map[string]bool) []string {
	if known[kind] == nil {
		known[kind] = map[string]bool{}
	}
	var ids []string
	for _, a := range applications {
		property, id := "", ""
		for _, property = range s.Relations[kind] {
			if id = a.Properties[property]; id != "" {
				break
			}
		}
		if id == "" || known[kind][id] {
			continue
		}
		known[kind][id] = true
		if !schema.ValidID(id) || isDots(id) {
			s.Client.warnf("application %s: its %s is not the identifier of any %s", a.ID, property, kind)
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// readAll reads the records of ids, several at once, into page. It leaves out those
// that the tenant doesn't have, and calls absent for each. An unusable answer about
// one record is a failure of that record. If the tenant doesn't answer, or refuses
// the caller, it is an error.
func readAll(ctx context.Context, page *reconcile.Page, kind schema.Kind, ids []string, read reader, absent func(id string)) error {
	type result struct {
		record schema.Record
		err    error
	}
	results := make([]result, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, id := range ids {
		group.Go(func() error {
			record, err := read(ctx, id)
			if errors.Is(err, ErrNotFound) {
				absent(id)
				record, err = nil, nil
			}
			results[i] = result{record, err}
			if errors.Is(err, errTenant) || ctx.Err() != nil {
				return err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, r := range results {
		switch {
		case r.err != nil:
			page.Failed[kind] = append(page.Failed[kind], reconcile.Failure{ID: ids[i], Err: r.err, Known: knownProperties(r.err)})
		case r.record != nil:
			page.Records[kind] = append(page.Records[kind], records.Entry{ID: ids[i], Properties: r.record})
		}
	}
	return nil
}
