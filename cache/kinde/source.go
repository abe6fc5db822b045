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

	"m2m-token-enricher/cache/reconcile"
	"m2m-token-enricher/cache/records"
	"m2m-token-enricher/schema"
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
		for page, err := range s.Client.ApplicationsFrom(ctx, from) {
			if err != nil {
				yield(reconcile.Page{}, cantResume(from, err))
				return
			}
			complete, err := s.complete(ctx, page, named)
			if !yield(complete, err) || err != nil {
				return
			}
		}
	}
}

// Confirm implements [reconcile.Confirmer] for organizations: a webhook may have
// written a suspension while the run had an answer from before.
func (s *Source) Confirm(ctx context.Context, kind schema.Kind, ids []string) ([]records.Entry, error) {
	if kind != schema.Organization {
		return nil, nil
	}
	return readAll(ctx, ids, s.tolerant(kind, s.Client.Organization))
}

// cantResume marks an error that may come from where the pages were to begin.
func cantResume(from string, err error) error {
	r, refused := errors.AsType[*refusal](err)
	if from != "" && refused && r.status == http.StatusBadRequest {
		return fmt.Errorf("%w: %w", reconcile.ErrCantResume, err)
	}
	return err
}

// complete reads what belongs to the applications of page. named are the
// organizations and users that earlier pages have; those of this one are added.
func (s *Source) complete(ctx context.Context, page Page, named map[schema.Kind]map[string]bool) (reconcile.Page, error) {
	done := reconcile.Page{Next: page.Next, Records: map[schema.Kind][]records.Entry{}}
	applications := map[string]Application{}
	for _, a := range page.Applications {
		if a.Type == typeM2M {
			applications[a.ID] = a
		}
	}
	var err error
	done.Records[schema.Application], err = readAll(ctx, slices.Sorted(maps.Keys(applications)), func(ctx context.Context, id string) (schema.Record, error) {
		record, err := s.Client.ApplicationProperties(ctx, id)
		if errors.Is(err, ErrNotFound) {
			return nil, nil // deleted since the page was made
		}
		return ownFields(record, applications[id]), err
	})
	if err != nil {
		return done, err
	}
	for kind, read := range map[schema.Kind]func(context.Context, string) (schema.Record, error){
		schema.Organization: s.Client.Organization,
		schema.User:         s.Client.User,
	} {
		ids := s.unread(kind, done.Records[schema.Application], named)
		if done.Records[kind], err = readAll(ctx, ids, s.tolerant(kind, read)); err != nil {
			return done, err
		}
	}
	return done, nil
}

// ownFields adds an application's own fields to its properties. They also keep
// the record of an application without properties in Redis.
func ownFields(record schema.Record, a Application) schema.Record {
	if record == nil {
		return nil
	}
	delete(record, "name")
	if a.Name != "" {
		record["name"] = a.Name
	}
	record["type"] = a.Type
	return record
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
func (s *Source) tolerant(kind schema.Kind, read func(context.Context, string) (schema.Record, error)) func(context.Context, string) (schema.Record, error) {
	return func(ctx context.Context, id string) (schema.Record, error) {
		record, err := read(ctx, id)
		if errors.Is(err, ErrNotFound) {
			s.warn("the tenant has no %s %s, which an application names", kind, id)
			return nil, nil
		}
		return record, err
	}
}

// readAll reads what ids name, several at once, and leaves out what is nil.
func readAll(ctx context.Context, ids []string, read func(context.Context, string) (schema.Record, error)) ([]records.Entry, error) {
	var mu sync.Mutex
	found := map[string]schema.Record{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, id := range ids {
		group.Go(func() error {
			record, err := read(ctx, id)
			if err == nil && record != nil {
				mu.Lock()
				defer mu.Unlock()
				found[id] = record
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	entries := make([]records.Entry, 0, len(found))
	for _, id := range slices.Sorted(maps.Keys(found)) {
		entries = append(entries, records.Entry{ID: id, Properties: found[id]})
	}
	return entries, nil
}
