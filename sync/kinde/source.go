package kinde

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
	"m2m-token-enricher/sync/reconcile"
)

// typeM2M is the type of the applications that get tokens of their own.
const typeM2M = "m2m"

// parallel is how many questions are under way at once. The tenant's rate limit
// ends more anyway.
const parallel = 8

// Source is a tenant as the source of records: its M2M applications, and the
// organizations and users that they name.
type Source struct {
	Client *Client
	// Relations are the properties of an application that name its organization
	// and its user.
	Relations map[schema.Kind]string
	// Warn is told of what a record names and the tenant doesn't have. It is
	// never called twice at once.
	Warn func(string)

	warning sync.Mutex
}

func (s *Source) warn(format string, args ...any) {
	s.warning.Lock()
	defer s.warning.Unlock()
	s.Warn(fmt.Sprintf(format, args...))
}

// Pages implements [reconcile.Source], one page for each of the tenant's own.
func (s *Source) Pages(ctx context.Context, from string) iter.Seq2[reconcile.Page, error] {
	return func(yield func(reconcile.Page, error) bool) {
		named := map[schema.Kind]map[string]bool{}
		at := from
		for page, err := range s.Client.ApplicationsFrom(ctx, from) {
			if err != nil {
				yield(reconcile.Page{}, cantResume(from, err))
				return
			}
			complete, err := s.complete(ctx, page.Applications, named)
			begin := at
			complete.Next, at = page.Next, page.Next
			complete.Again = func(ctx context.Context, ids map[schema.Kind][]string) (reconcile.Page, error) {
				return s.again(ctx, begin, ids, named)
			}
			if !yield(complete, err) || err != nil {
				return
			}
		}
	}
}

// again reads what ids name once more: applications from the page that at
// begins, because its list has their names and types.
func (s *Source) again(ctx context.Context, at string, ids map[schema.Kind][]string, named map[schema.Kind]map[string]bool) (reconcile.Page, error) {
	var applications []Application
	if asked := ids[schema.Application]; len(asked) > 0 {
		page, err := s.Client.page(ctx, at)
		if err != nil {
			return reconcile.Page{}, s.Client.withoutSecrets(fmt.Errorf("applications: %w", err))
		}
		applications = slices.DeleteFunc(page.Applications, func(a Application) bool { return !slices.Contains(asked, a.ID) })
	}
	done, err := s.complete(ctx, applications, named)
	if err != nil {
		return done, err
	}
	for kind, read := range s.related() {
		if err := readAll(ctx, &done, kind, ids[kind], orAbsent(read)); err != nil {
			return done, err
		}
	}
	return done, nil
}

// cantResume marks an error that may come from where the pages were to begin.
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

// complete reads what belongs to applications. named are the organizations and
// users that earlier pages have; those of this one are added.
func (s *Source) complete(ctx context.Context, list []Application, named map[schema.Kind]map[string]bool) (reconcile.Page, error) {
	done := reconcile.Page{Records: map[schema.Kind][]records.Entry{}, Failed: map[schema.Kind][]reconcile.Failure{}}
	applications := map[string]Application{}
	for _, a := range list {
		if a.Type == typeM2M {
			applications[a.ID] = a
		}
	}
	err := readAll(ctx, &done, schema.Application, slices.Sorted(maps.Keys(applications)), func(ctx context.Context, id string) (schema.Record, error) {
		record, err := s.Client.ApplicationProperties(ctx, id)
		if errors.Is(err, ErrNotFound) {
			return nil, nil // deleted since the page was made
		}
		return s.ownFields(record, applications[id]), err
	})
	if err != nil {
		return done, err
	}
	for kind, read := range s.related() {
		ids := s.unread(kind, done.Records[schema.Application], named)
		if err := readAll(ctx, &done, kind, ids, s.tolerant(kind, read)); err != nil {
			return done, err
		}
	}
	return done, nil
}

// ownFields adds an application's own fields to its properties. They also keep
// the record of an application without properties in Redis.
func (s *Source) ownFields(record schema.Record, a Application) schema.Record {
	if record == nil {
		return nil
	}
	first := []string{"type", "name"}
	for _, kind := range []schema.Kind{schema.Organization, schema.User} {
		first = append(first, s.Relations[kind])
	}
	return s.Client.fit("application", a.ID, record, fields{"name": a.Name, "type": a.Type}, first)
}

// unread returns what applications name and no earlier page has, and marks it.
func (s *Source) unread(kind schema.Kind, applications []records.Entry, named map[schema.Kind]map[string]bool) []string {
	if named[kind] == nil {
		named[kind] = map[string]bool{}
	}
	var ids []string
	for _, a := range applications {
		id := a.Properties[s.Relations[kind]]
		if id == "" || named[kind][id] {
			continue
		}
		named[kind][id] = true
		if !schema.ValidID(id) || leadsElsewhere(id) {
			s.warn("application %s: its %s is not the identifier of any %s", a.ID, s.Relations[kind], kind)
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// tolerant reads nothing of what the tenant doesn't have: a token for it is
// refused then, and the other records don't wait for that.
func (s *Source) tolerant(kind schema.Kind, read reader) reader {
	return func(ctx context.Context, id string) (schema.Record, error) {
		record, err := orAbsent(read)(ctx, id)
		if record == nil && err == nil {
			s.warn("the tenant has no %s %s, which an application names", kind, id)
		}
		return record, err
	}
}

// orAbsent reads nil for what the tenant doesn't have.
func orAbsent(read reader) reader {
	return func(ctx context.Context, id string) (schema.Record, error) {
		record, err := read(ctx, id)
		if errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		return record, err
	}
}

// readAll reads what ids name, several at once, into page, and leaves out what
// is nil. An answer about one record that can't be used is a failure of that
// record; what the tenant says of the caller, or no answer, is an error.
func readAll(ctx context.Context, page *reconcile.Page, kind schema.Kind, ids []string, read reader) error {
	var mu sync.Mutex
	found, failed := map[string]schema.Record{}, map[string]error{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, id := range ids {
		group.Go(func() error {
			record, err := read(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, errTenant) || ctx.Err() != nil:
				return err
			case err != nil:
				failed[id] = err
			case record != nil:
				found[id] = record
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(found)) {
		page.Records[kind] = append(page.Records[kind], records.Entry{ID: id, Properties: found[id]})
	}
	for _, id := range slices.Sorted(maps.Keys(failed)) {
		page.Failed[kind] = append(page.Failed[kind], reconcile.Failure{ID: id, Err: failed[id], Known: knownOf(failed[id])})
	}
	return nil
}
