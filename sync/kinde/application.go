package kinde

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
)

// pageSize is how many applications one request asks for, the most that the API
// allows.
const pageSize = 500

// Application is an application of the tenant, of any type.
type Application struct {
	ID   string `json:"id"` // its client id
	Name string `json:"name"`
	Type string `json:"type"` // "m2m" if it gets tokens of its own
}

// Page is a part of the tenant's applications.
type Page struct {
	Applications []Application `json:"applications"`
	Next         string        `json:"next_token"` // where the next page begins; empty on the last one
}

// Applications returns the pages of the tenant's applications from next, the
// Next of an earlier page, or all if next is empty. After an error there are no
// further pages.
func (c *Client) Applications(ctx context.Context, next string) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		seen := cursors{next: true}
		for {
			page, err := c.page(ctx, next)
			if err == nil {
				err = seen.add(page.Next)
			}
			if err != nil {
				yield(Page{}, c.withoutSecrets(fmt.Errorf("applications: %w", err)))
				return
			}
			if !yield(page, nil) || page.Next == "" {
				return
			}
			next = page.Next
		}
	}
}

func (c *Client) page(ctx context.Context, next string) (Page, error) {
	query := url.Values{"page_size": {strconv.Itoa(pageSize)}}
	if next != "" {
		query.Set("next_token", next)
	}
	var page Page
	if err := c.get(ctx, "/api/v1/applications", query, &page); err != nil {
		return Page{}, err
	}
	if page.Applications == nil {
		return Page{}, errors.New("the answer doesn't list them")
	}
	for i, a := range page.Applications {
		if a.ID == "" {
			return Page{}, fmt.Errorf("applications[%d] has no id", i)
		}
	}
	return page, nil
}

// cursors are the next_tokens of earlier pages.
type cursors map[string]bool

// add returns an error if next leads back to an earlier page: then the pages
// would never end.
func (c cursors) add(next string) error {
	if next != "" && c[next] {
		return errors.New("the next_token is that of an earlier page")
	}
	c[next] = true
	return nil
}
