package records

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// writerRights are those that a writer needs, each with what fails without it.
var writerRights = map[string]string{
	"~m2m:*": "get put patch delete conditional", "+hgetall": "get put patch conditional", "+hset": "put patch conditional",
	"+hdel": "patch conditional", "+del": "put delete", "+exists": "dry conditional", "+scan": "ids",
	"+evalsha": "put patch delete conditional", "+eval": "put patch delete conditional", "+time": "put patch delete conditional",
	"+get": "delete conditional", "+set": "put patch delete conditional",
}

// TestWriterRights: the rights in docs/redis.md are enough, and each is needed.
func TestWriterRights(t *testing.T) {
	server := redistest.Start(t)
	cfg := redistest.Config(server.Port())
	cfg.Username, cfg.Password = "m2m-writer", "pw"
	for without, broken := range withNone(writerRights) {
		rule := []any{"acl", "setuser", "m2m-writer", "reset", "on", ">pw", "-@all"}
		for right := range writerRights {
			if right != without {
				rule = append(rule, right)
			}
		}
		admin := server.Client()
		if err := errors.Join(admin.FlushAll(t.Context()).Err(), admin.ScriptFlush(t.Context()).Err(), admin.Do(t.Context(), rule...).Err()); err != nil {
			t.Fatal(err)
		}
		hset(t, admin, prefix+"app:x", "a", "1", "b", "1")
		hset(t, admin, prefix+"app:y", "a", "1")
		got := strings.Join(failingActs(t, open(t, cfg, prefix)), " ")
		for _, act := range strings.Fields(broken) {
			if !strings.Contains(got, act) {
				t.Errorf("without %q, %s works", without, act)
			}
		}
		if without == "" && got != "" {
			t.Errorf("with every right, %s fails", got)
		}
	}
	given := redistest.ACL(t, redistest.Writer)
	for _, word := range given {
		_, needed := writerRights[word]
		if other := []string{"+select", "+cluster|slots", "+asking"}; (word[0] == '+' || word[0] == '~') && !needed && !slices.Contains(other, word) {
			t.Errorf("the page gives %s, which isn't needed", word)
		}
	}
	for right := range writerRights {
		if !slices.Contains(given, right) {
			t.Errorf("the page doesn't give %s", right)
		}
	}
}

func withNone(rights map[string]string) map[string]string {
	all := maps.Clone(rights)
	all[""] = ""
	return all
}

// failingActs returns what fails of everything that a writer does.
func failingActs(t *testing.T, s *Store) (acts []string) {
	ctx := t.Context()
	try := func(act string, err error) {
		if err != nil {
			acts = append(acts, act)
		}
	}
	_, err := s.Get(ctx, schema.Application, "x")
	try("get", err)
	try("ids", s.IDs(ctx, schema.Application, "*", func([]string) bool { return true }))
	_, err = s.Delete(ctx, schema.Application, []string{"x"}, DryRun)
	try("dry", err)
	_, err = s.Patch(ctx, schema.Application, "x", schema.Record{"c": "1"}, []string{"b"}, Write)
	try("patch", err)
	_, err = s.Put(ctx, schema.Application, []Entry{{"x", schema.Record{"d": "1"}}}, Write)
	try("put", err)
	asked, err := s.Now(ctx)
	if err == nil {
		_, err = s.PutIfUnchanged(ctx, asked, schema.Application, []Entry{{"y", schema.Record{"b": "1"}}}, Write)
	}
	if err == nil {
		_, _, err = s.DeleteIfUnchanged(ctx, asked-1, schema.Application, []string{"y"}, Write)
	}
	try("conditional", err)
	_, err = s.Delete(ctx, schema.Application, []string{"x"}, Write)
	try("delete", err)
	return acts
}
