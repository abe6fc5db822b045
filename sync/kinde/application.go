package kinde

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
)

// pageSize is how many applications are asked for at once: the most that the
// API gives.
const pageSize = 500

// Application is an application of the tenant, of whatever type.
type Application struct {
	ID   string `json:"id"` // its client id
	Name string `json:"name"`
	Type string `json:"type"` // "m2m" for those that get tokens of their own
}

// Page is a part of the tenant's applications.
type Page struct {
	Applications []Application `json:"applications"`
	// Next is where the next page begins, for ApplicationsFrom. Empty on the
	// last page.
	Next string `json:"next_token"`
}

// Applications returns all pages of the tenant's applications. An error is the
// last that it gives: the pages before it are then not all.
func (c *Client) Applications(ctx context.Context) iter.Seq2[Page, error] {
	return c.ApplicationsFrom(ctx, "")
}

// ApplicationsFrom is Applications from the page that next, the Next of the
// page before it, begins. Empty means the first.
func (c *Client) ApplicationsFrom(ctx context.Context, next string) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		at, seen := next, cursors{next: true}
		for {
			page, err := c.page(ctx, at)
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
			at = page.Next
		}
	}
}

func (c *Client) page(ctx context.Context, at string) (Page, error) {
	query := url.Values{"page_size": {strconv.Itoa(pageSize)}}
	if at != "" {
		query.Set("next_token", at)
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

// cursors are the next_tokens that were met on the way through pages.
type cursors map[string]bool

// add returns an error if next leads back, so that the pages have no end.
func (c cursors) add(next string) error {
	if next == "" {
		return nil
	}
	if c[next] {
		return errors.New("the next_token is that of an earlier page")
	}
	c[next] = true
	return nil
}
