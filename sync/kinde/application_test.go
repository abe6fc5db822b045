package kinde

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/test/idptest"
)

// fill gives the tenant n applications and returns their ids, as the tenant
// sorts them.
func (w *world) fill(n int) []string {
	var list []string
	for i := range n {
		a := idptest.Application{ID: fmt.Sprintf("app_%04d", i), Name: fmt.Sprintf("Job %d", i), Type: "m2m"}
		w.tenant.SetApplication(a)
		list = append(list, a.ID)
	}
	return list
}

func TestPages(t *testing.T) {
	for n, want := range map[int][]int{0: {0}, 1: {1}, 500: {500}, 501: {500, 1}, 1200: {500, 500, 200}} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := start(t)
			list := w.fill(n)
			pages, err := w.all(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var sizes []int
			for _, page := range pages {
				sizes = append(sizes, len(page))
			}
			if !slices.Equal(sizes, want) || !slices.Equal(slices.Concat(pages...), list) {
				t.Errorf("got pages of %v, want %v", sizes, want)
			}
		})
	}
}

// TestResume: the pages continue from the Next of an earlier one, even if its last
// application is deleted.
func TestResume(t *testing.T) {
	w := start(t)
	list := w.fill(700)
	next := ""
	for page, err := range w.Applications(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		next = page.Next
		break
	}
	if hits := w.tenant.Hits("/api/v1/applications"); hits != 1 {
		t.Errorf("got %d requests, want 1: the caller stopped", hits)
	}
	w.tenant.RemoveApplication(list[499])
	for page, err := range w.Applications(t.Context(), next) {
		if err != nil || !slices.Equal(ids(page), list[500:]) {
			t.Errorf("got %d applications, %v, want %d", len(page.Applications), err, len(list)-500)
		}
	}
}

// TestErrorEndsThePages: the pages before it are complete.
func TestErrorEndsThePages(t *testing.T) {
	w := start(t)
	w.fill(1200)
	w.tenant.FailCall(2, http.StatusForbidden)
	pages, err := w.all(t.Context())
	w.expectError(t, err, "applications: GET /api/v1/applications: status 403", `"FAULT"`, `"Forbidden"`)
	if len(pages) != 1 {
		t.Errorf("got %d pages, want 1", len(pages))
	}
}

func TestHostilePages(t *testing.T) {
	w := start(t)
	for name, c := range map[string]struct{ body, says string }{
		"empty":                     {"", "not a JSON object"},
		"a page of HTML":            {"<html></html>", "not a JSON object"},
		"null":                      {"null", "not a JSON object"},
		"an array":                  {"[]", "not a JSON object"},
		"two objects":               {`{"applications":[]}{}`, "after top-level value"},
		"an object that ends":       {`{"applications":[`, "unexpected end"},
		"no list":                   {`{"code":"OK"}`, "doesn't list them"},
		"null for the list":         {`{"applications":null}`, "doesn't list them"},
		"an object for the list":    {`{"applications":{}}`, "applications"},
		"an id that is a number":    {`{"applications":[{"id":1}]}`, "id"},
		"an application without id": {`{"applications":[{"id":"a"},{"name":"b"}]}`, "applications[1] has no id"},
		"a next_token of its own":   {`{"applications":[],"next_token":7}`, "next_token"},
		"more than a page may have": {`{"applications":[` + strings.Repeat(" ", maxAnswer) + `]}`, "more than 8388608 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			w.answer("/api/v1/applications", http.StatusOK, c.body)
			_, err := w.all(t.Context())
			w.expectError(t, err, "applications: ", c.says)
			if len(w.waited()) > 0 {
				t.Errorf("it was tried again: waits of %v", w.waited())
			}
		})
	}
}

// TestCycle: pages that lead back to an earlier one would never end.
func TestCycle(t *testing.T) {
	w := start(t)
	after := map[string]string{"": "one", "one": "two", "two": "three", "three": "one"}
	w.tenant.Replace("/api/v1/applications", func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, `{"applications":[],"next_token":%q}`, after[r.FormValue("next_token")])
	})
	pages, err := w.all(t.Context())
	w.expectError(t, err, "that of an earlier page")
	if len(pages) != 3 {
		t.Errorf("got %d pages, want 3", len(pages))
	}
}
