package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
)

// writeOrder is the order in which records are written: a record comes after
// those that it names. They are deleted in the reverse order.
var writeOrder = []schema.Kind{schema.Organization, schema.User, schema.Application}

// Page is a part of the records of a source.
type Page struct {
	Records map[schema.Kind][]records.Entry
	// Failed are records of the source that can't be read. They stay in Redis as
	// they are.
	Failed map[schema.Kind][]Failure
	Next   string // where to continue; "" after the last page

	// Reread reads single records of the page again, or any organizations and users.
	// What its answer leaves out, the page no longer has. The answer includes what
	// its applications name. Nil: the source can't do it.
	Reread func(ctx context.Context, ids map[schema.Kind][]string) (Page, error)
}

// clone returns a page with maps of its own, which can be changed.
func (p Page) clone() Page {
	all, failed := map[schema.Kind][]records.Entry{}, map[schema.Kind][]Failure{}
	maps.Copy(all, p.Records)
	maps.Copy(failed, p.Failed)
	p.Records, p.Failed = all, failed
	return p
}

// fail makes a record of the page a failure.
func (p *Page) fail(kind schema.Kind, id string, err error) {
	p.drop(kind, []string{id})
	p.Failed[kind] = append(p.Failed[kind], Failure{ID: id, Err: err})
}

// drop removes records and failures from the page.
func (p *Page) drop(kind schema.Kind, ids []string) {
	set := idSets{}
	set.add(kind, ids...)
	dropped := func(id string) bool { _, ok := set[kind][id]; return ok }
	p.Records[kind] = slices.DeleteFunc(slices.Clone(p.Records[kind]), func(e records.Entry) bool { return dropped(e.ID) })
	p.Failed[kind] = slices.DeleteFunc(slices.Clone(p.Failed[kind]), func(f Failure) bool { return dropped(f.ID) })
}

// replace replaces the records of ids by what was read again.
func (p *Page) replace(ids idLists, reread Page) {
	for _, kind := range writeOrder {
		p.drop(kind, ids[kind])
		for _, e := range reread.Records[kind] {
			p.drop(kind, []string{e.ID})
			p.Records[kind] = append(p.Records[kind], e)
		}
		for _, f := range reread.Failed[kind] {
			p.fail(kind, f.ID, f.Err)
		}
	}
}

// Failure is a record that stays as it is, and why. The error shows no value of
// a property.
type Failure struct {
	ID  string
	Err error
	// Known are properties that could be read all the same. They are set if the
	// record exists.
	Known schema.Record
}

// ErrIncomplete says that a run completed, but some records differ from the
// source.
var ErrIncomplete = errors.New("some records stay as they were")

// failures are the records that a run couldn't bring up to date.
type failures []kindFailure

type kindFailure struct {
	kind schema.Kind
	Failure
}

// maxListed is how many failures an error lists; the others are counted.
const maxListed = 10

// err returns them as one error, nil if there are none.
func (f failures) err() error {
	if len(f) == 0 {
		return nil
	}
	var list []string
	for _, one := range f[:min(maxListed, len(f))] {
		list = append(list, fmt.Sprintf("%s %.80q: %v", one.kind, one.ID, one.Err))
	}
	if more := len(f) - maxListed; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("%w: %d, all others are up to date: %s", ErrIncomplete, len(f), strings.Join(list, "; "))
}

func (f failures) of(kind schema.Kind) bool {
	return slices.ContainsFunc(f, func(one kindFailure) bool { return one.kind == kind })
}
