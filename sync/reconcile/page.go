package reconcile

import (
	"context"
	"maps"
	"slices"

	"m2m-token-enricher/records"
	"m2m-token-enricher/schema"
)

// written is the order in which records are written: nothing names a record
// that isn't there yet. They are deleted in the reverse order.
var written = []schema.Kind{schema.Organization, schema.User, schema.Application}

// Page is a part of what a source says.
type Page struct {
	Records map[schema.Kind][]records.Entry
	// Failed are records that the source has and that can't be read. They stay
	// in Redis as they are.
	Failed map[schema.Kind][]Failure
	Next   string // where to go on; "" after the last page

	// Again reads single records of the page once more, or any organizations and
	// users. What its answer leaves out, the page no longer has; what the
	// applications in it name besides is in it, too. Nil: the source can't.
	Again func(ctx context.Context, ids map[schema.Kind][]string) (Page, error)
}

// own gives the page maps of its own, so that it can be changed.
func (p *Page) own() {
	all, failed := map[schema.Kind][]records.Entry{}, map[schema.Kind][]Failure{}
	maps.Copy(all, p.Records)
	maps.Copy(failed, p.Failed)
	p.Records, p.Failed = all, failed
}

// fail makes a record of the page, which has maps of its own, a failure.
func (p *Page) fail(kind schema.Kind, id string, err error) {
	p.drop(kind, []string{id})
	p.Failed[kind] = append(p.Failed[kind], Failure{ID: id, Err: err})
}

// drop removes records and failures of the page.
func (p *Page) drop(kind schema.Kind, ids []string) {
	gone := map[string]bool{}
	for _, id := range ids {
		gone[id] = true
	}
	p.Records[kind] = slices.DeleteFunc(slices.Clone(p.Records[kind]), func(e records.Entry) bool { return gone[e.ID] })
	p.Failed[kind] = slices.DeleteFunc(slices.Clone(p.Failed[kind]), func(f Failure) bool { return gone[f.ID] })
}

// replace puts what was read again, which more has, in the place of what ids
// name.
func (p *Page) replace(ids idsByKind, more Page) {
	for _, kind := range written {
		p.drop(kind, ids[kind])
		for _, e := range more.Records[kind] {
			p.drop(kind, []string{e.ID})
			p.Records[kind] = append(p.Records[kind], e)
		}
		for _, f := range more.Failed[kind] {
			p.fail(kind, f.ID, f.Err)
		}
	}
}

// idsByKind are identifiers of records.
type idsByKind map[schema.Kind][]string

// with returns the identifiers together with ids of kind, each once.
func (i idsByKind) with(kind schema.Kind, ids []string) idsByKind {
	all := idsByKind{}
	for k, list := range i {
		all[k] = list
	}
	if len(ids) > 0 {
		all[kind] = slices.Concat(all[kind], ids) // a record is either changed or late
	}
	return all
}
