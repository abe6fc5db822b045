package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"m2m-token-enricher/plugin/enrich"
	"m2m-token-enricher/schema"
)

// maxEvent is how large a file with an event may be.
const maxEvent = 1 << 20

// m2mTrigger is the trigger of workflows for M2M tokens.
const m2mTrigger = "m2m:token_generation"

// Values of an event's members.
const (
	aText  = "a string"
	aList  = "a list of strings"
	aGroup = "an object"
)

// group is an object of an event: what each of its members is.
type group map[string]any

// eventShape is Kinde's event for M2M tokens.
var eventShape = group{
	"request": group{"auth": group{"audience": aList, "scope": aList}, "ip": aText},
	"context": group{"domains": group{"kindeDomain": aText}, "application": group{"clientId": aText}, "workflow": group{"trigger": aText}},
}

// eventFile is a file with one event.
type eventFile struct {
	*document
	wrong []*schema.FieldError
}

// readEvent returns the event in a file. The error joins every error in it, each with
// its line and its member.
func readEvent(path string) (enrich.Event, error) {
	text, err := readText(path, maxEvent)
	if err != nil {
		return enrich.Event{}, err
	}
	documents, err := parseDocuments(inputName(path), text)
	if err != nil {
		return enrich.Event{}, err
	}
	if len(documents) != 1 {
		return enrich.Event{}, fmt.Errorf("%s: %d events; keep one", inputName(path), len(documents))
	}
	f := &eventFile{document: documents[0], wrong: documents[0].repeated}
	f.check("", f.content, eventShape)
	if len(f.wrong) > 0 {
		return enrich.Event{}, errors.Join(f.inOrder(f.wrong)...)
	}
	event := f.event()
	return event, errors.Join(f.inOrder(f.wrong)...)
}

func (f *eventFile) refuse(path, problem string, args ...any) {
	f.wrong = append(f.wrong, &schema.FieldError{Path: cmp.Or(path, "the event"), Problem: fmt.Sprintf(problem, args...)})
}

// check refuses members that the shape doesn't have, and values of another kind.
func (f *eventFile) check(path string, value, shape any) {
	members, isGroup := shape.(group)
	if !isGroup {
		f.checkValue(path, value, shape)
		return
	}
	object, ok := value.(map[string]any)
	if !ok {
		f.refuse(path, "must be %s", aGroup)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if members[name] == nil {
			f.refuse(join(path, name), "unknown member%s", schema.DidYouMean(name, slices.Sorted(maps.Keys(members))))
			continue
		}
		f.check(join(path, name), object[name], members[name])
	}
}

func (f *eventFile) checkValue(path string, value, shape any) {
	_, isText := value.(string)
	list, isList := value.([]any)
	if shape == aText && !isText || shape == aList && !isList {
		f.refuse(path, "must be %s", shape)
	}
	for i, element := range list {
		if _, ok := element.(string); !ok && isList && shape == aList {
			f.refuse(fmt.Sprintf("%s[%d]", path, i), "must be %s", aText)
		}
	}
}

// event returns what the file says, and refuses values that no gateway gives to a
// workflow.
func (f *eventFile) event() enrich.Event {
	e := enrich.Event{Audience: f.list("request", "auth", "audience"), Scope: f.list("request", "auth", "scope"), IP: f.text("request", "ip")}
	e.ClientID = f.required("context", "application", "clientId")
	e.Domain = strings.TrimSuffix(f.required("context", "domains", "kindeDomain"), "/")
	if u, err := url.Parse(e.Domain); e.Domain != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil) {
		f.refuse("context.domains.kindeDomain", "must be an https URL, such as https://example.kinde.com")
	}
	if trigger := f.text("context", "workflow", "trigger"); trigger != "" && trigger != m2mTrigger {
		f.refuse("context.workflow.trigger", "must be %s", m2mTrigger)
	}
	return e
}

// at returns the value of a member, nil if it is missing.
func (f *eventFile) at(path ...string) any {
	value := f.content
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

func (f *eventFile) text(path ...string) string {
	text, _ := f.at(path...).(string)
	return text
}

// required is text for a member that every event has.
func (f *eventFile) required(path ...string) string {
	text := f.text(path...)
	if text == "" {
		f.refuse(strings.Join(path, "."), "required")
	}
	return text
}

func (f *eventFile) list(path ...string) []string {
	all := []string{}
	list, _ := f.at(path...).([]any)
	for _, element := range list {
		if text, ok := element.(string); ok {
			all = append(all, text)
		}
	}
	return all
}
