package idptest

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// Page sizes of the management API.
const (
	defaultPage = 10
	maxPage     = 500
)

func (t *Tenant) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/applications", t.listApplications)
	mux.HandleFunc("GET /api/v1/organization", t.getOrganization)
	mux.HandleFunc("GET /api/v1/user", t.getUser)
	mux.HandleFunc("GET /api/v1/applications/{id}/properties", func(w http.ResponseWriter, r *http.Request) {
		a, ok := find(t, t.applications, r.PathValue("id"))
		listProperties(w, r, a.Properties, ok)
	})
	mux.HandleFunc("GET /api/v1/organizations/{id}/properties", func(w http.ResponseWriter, r *http.Request) {
		o, ok := find(t, t.organizations, r.PathValue("id"))
		listProperties(w, r, o.Properties, ok)
	})
	mux.HandleFunc("GET /api/v1/users/{id}/properties", func(w http.ResponseWriter, r *http.Request) {
		u, ok := find(t, t.users, r.PathValue("id"))
		listProperties(w, r, u.Properties, ok)
	})
	return mux
}

func (t *Tenant) listApplications(w http.ResponseWriter, r *http.Request) {
	ids, next, ok := page(w, r, sorted(t, t.applications))
	if !ok {
		return
	}
	list := []any{}
	for _, id := range ids {
		if a, ok := find(t, t.applications, id); ok {
			list = append(list, map[string]any{"id": a.ID, "name": a.Name, "type": a.Type})
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"code": "OK", "message": "Success", "applications": list, "next_token": orNull(next)})
}

func listProperties(w http.ResponseWriter, r *http.Request, properties map[string]any, exists bool) {
	if !exists {
		denyUnknown(w)
		return
	}
	keys, next, ok := page(w, r, slices.Sorted(maps.Keys(properties)))
	if !ok {
		return
	}
	list := []any{}
	for _, key := range keys {
		list = append(list, map[string]any{"id": "prop_" + key, "name": key, "description": nil, "key": key, "value": properties[key]})
	}
	writeJSON(w, http.StatusOK, map[string]any{"code": "OK", "message": "Success", "properties": list, "next_token": orNull(next)})
}

func (t *Tenant) getOrganization(w http.ResponseWriter, r *http.Request) {
	o, ok := find(t, t.organizations, r.FormValue("code"))
	if !ok {
		denyUnknown(w)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"code": o.Code, "name": orNull(o.Name), "handle": orNull(o.Handle), "is_default": false,
		"external_id": orNull(o.ExternalID), "is_suspended": o.IsSuspended,
	})
}

func (t *Tenant) getUser(w http.ResponseWriter, r *http.Request) {
	u, ok := find(t, t.users, r.FormValue("id"))
	if !ok {
		denyUnknown(w)
		return
	}
	body := map[string]any{
		"id": u.ID, "provided_id": nil, "preferred_email": orNull(u.Email), "username": nil,
		"first_name": orNull(u.FirstName), "last_name": orNull(u.LastName), "picture": nil,
	}
	if u.IsSuspended != nil {
		body["is_suspended"] = *u.IsSuspended
	}
	writeJSON(w, http.StatusOK, body)
}

// page returns the part of names, which are sorted, that r asks for, and the
// next_token of the part behind it. A next_token is the last name before its
// page: names that are added or removed meanwhile move no other. page answers a
// bad request itself.
func page(w http.ResponseWriter, r *http.Request, names []string) (part []string, next string, ok bool) {
	size := defaultPage
	if s := r.FormValue("page_size"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPage {
			deny(w, http.StatusBadRequest, "PAGE_SIZE_INVALID", "page_size must be from 1 to 500")
			return nil, "", false
		}
		size = n
	}
	if s := r.FormValue("next_token"); s != "" {
		last, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			deny(w, http.StatusBadRequest, "NEXT_TOKEN_INVALID", "no such next_token")
			return nil, "", false
		}
		at, found := slices.BinarySearch(names, string(last))
		if found {
			at++
		}
		names = names[at:]
	}
	if len(names) <= size {
		return names, "", true
	}
	return names[:size], base64.RawURLEncoding.EncodeToString([]byte(names[size-1])), true
}

// orNull is how the API writes s: an empty text is null.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// deny answers in the form of the API's errors.
func deny(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]any{"errors": []any{map[string]any{"code": code, "message": message}}})
}

// denyUnknown answers in the form that the API has for this one error.
func denyUnknown(w http.ResponseWriter) {
	writeJSON(w, http.StatusNotFound, map[string]any{"errors": map[string]any{"code": "NOT_FOUND", "message": "there is none"}})
}
