package records

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"m2m-token-enricher/schema"
	"m2m-token-enricher/test/redistest"
)

// trouble is a server behind a proxy, with records that a write changes in every
// way.
type trouble struct {
	*testing.T
	server        *redistest.Server
	proxy         *redistest.Proxy
	before, after map[string]schema.Record
}

func newTrouble(t *testing.T) *trouble {
	server := redistest.Start(t)
	tr := &trouble{
		T: t, server: server, proxy: redistest.StartProxy(t, server.Addr()),
		before: map[string]schema.Record{"set": {"a": "1"}, "unset": {"a": "1", "b": "2"}, "both": {"a": "1", "b": "2"}, "same": {"a": "1"}},
		after:  map[string]schema.Record{"set": {"a": "2"}, "unset": {"a": "1"}, "both": {"a": "2", "c": "3"}, "same": {"a": "1"}, "new": {"a": "1"}},
	}
	for id, properties := range tr.before {
		for name, value := range properties {
			hset(t, server.Client(), prefix+"app:"+id, name, value)
		}
	}
	return tr
}

func (tr *trouble) admin(command ...any) {
	tr.Helper()
	if err := tr.server.Client().Do(tr.Context(), command...).Err(); err != nil {
		tr.Fatal(err)
	}
}

func (tr *trouble) put(s *Store) error {
	var entries []Entry
	for id, properties := range tr.after {
		entries = append(entries, Entry{id, properties})
	}
	_, err := s.Put(tr.Context(), schema.Application, entries, Write)
	return err
}

// expectFailure expects that err names the record and the reason.
func (tr *trouble) expectFailure(what string, err error, says string) {
	tr.Helper()
	if !errors.Is(err, schema.ErrUnavailable) || !strings.Contains(err.Error(), prefix+"app:") || !strings.Contains(err.Error(), says) {
		tr.Errorf("%s: got %v, want unavailable because of %q", what, err, says)
	}
}

// expectNothingLost expects that each record is as before or after the write.
func (tr *trouble) expectNothingLost() {
	tr.Helper()
	got := everything(tr.T, tr.server.Client())
	for id, properties := range got {
		if !maps.Equal(properties, tr.before[id]) && !maps.Equal(properties, tr.after[id]) {
			tr.Errorf("%s is %v", id, properties)
		}
	}
	for id := range tr.before {
		if len(got[id]) == 0 {
			tr.Errorf("%s is lost", id)
		}
	}
}

// TestTroubles: a failed write names the record and the reason, loses nothing, and
// succeeds when it is repeated.
func TestTroubles(t *testing.T) {
	for name, c := range map[string]struct {
		begin, end func(*trouble)
		says       string
	}{
		"no memory left": {
			func(tr *trouble) { tr.admin("config", "set", "maxmemory", 1) },
			func(tr *trouble) { tr.admin("config", "set", "maxmemory", 0) },
			"OOM",
		},
		"a replica": {
			func(tr *trouble) { tr.admin("replicaof", "127.0.0.1", redistest.FreePort(tr)) },
			func(tr *trouble) { tr.admin("replicaof", "no", "one") },
			"READONLY",
		},
		"no rights": {
			func(tr *trouble) {
				tr.admin("acl", "setuser", "operator", "reset", "on", ">pw", "~*", "+@read", "+@connection")
			},
			func(tr *trouble) { tr.admin("acl", "setuser", "operator", "+@all") },
			"NOPERM",
		},
		"loading": {
			func(tr *trouble) {
				tr.proxy.Handle(func([]string) (string, bool) { return "-LOADING Redis is loading the dataset in memory\r\n", true })
			},
			func(tr *trouble) { tr.proxy.Pass() },
			"LOADING",
		},
		"refused":   {func(tr *trouble) { tr.proxy.Refuse(); tr.proxy.Drop() }, func(tr *trouble) { tr.proxy.Pass() }, "refused"},
		"cut":       {func(tr *trouble) { tr.proxy.Cut() }, func(tr *trouble) { tr.proxy.Pass() }, ""},
		"cut reply": {func(tr *trouble) { tr.proxy.CutReply(5) }, func(tr *trouble) { tr.proxy.Pass() }, "it closed the connection at HGETALL"},
		"cut write": {
			func(tr *trouble) {
				tr.proxy.Handle(func(command []string) (string, bool) {
					if strings.EqualFold(command[0], "evalsha") {
						tr.proxy.CutReply(0)
					}
					return "", false
				})
			},
			func(tr *trouble) { tr.proxy.Pass() },
			"it closed the connection at EVALSHA",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTrouble(t)
			tr.admin("acl", "setuser", "operator", "on", ">pw", "~*", "+@all")
			cfg := redistest.Config(tr.proxy.Port())
			cfg.Username, cfg.Password = "operator", "pw"
			s := open(t, cfg, prefix)
			c.begin(tr)
			tr.expectFailure("put", tr.put(s), c.says)
			tr.expectNothingLost()
			c.end(tr)
			if err := tr.put(s); err != nil {
				t.Fatalf("repeated: %v", err)
			}
			expectEverything(t, tr.server.Client(), tr.after)
		})
	}
}

// TestSilence: a server that doesn't answer is waited for as configured.
func TestSilence(t *testing.T) {
	tr := newTrouble(t)
	cfg := redistest.Config(tr.proxy.Port())
	cfg.ReadTimeout = 100
	s := open(t, cfg, prefix)
	tr.proxy.Hold()
	tr.expectFailure("put", tr.put(s), "timeout")
	_, err := s.Delete(t.Context(), schema.Application, []string{"set"}, Write)
	tr.expectFailure("delete", err, "timeout")
	if _, err := s.Patch(t.Context(), schema.Application, "set", schema.Record{"a": "2"}, nil, Write); !errors.Is(err, schema.ErrUnavailable) {
		t.Errorf("patch: got %v", err)
	}
	if err := s.IDs(t.Context(), schema.Application, "*", func([]string) bool { return true }); err == nil || !strings.Contains(err.Error(), prefix) {
		t.Errorf("ids: got %v", err)
	}
	tr.proxy.Pass()
	if err := tr.put(s); err != nil {
		t.Errorf("repeated: %v", err)
	}
}

func TestWrongType(t *testing.T) {
	server, s := start(t)
	key := prefix + "app:text"
	if err := server.Client().Set(t.Context(), key, "precious", 0).Err(); err != nil {
		t.Fatal(err)
	}
	entries := []Entry{{"before", schema.Record{"a": "1"}}, {"text", schema.Record{"a": "1"}}, {"after", schema.Record{"a": "1"}}}
	_, getErr := s.Get(t.Context(), schema.Application, "text")
	_, putErr := s.Put(t.Context(), schema.Application, entries, Write)
	_, patchErr := s.Patch(t.Context(), schema.Application, "text", schema.Record{"a": "1"}, nil, Write)
	for what, err := range map[string]error{"get": getErr, "put": putErr, "patch": patchErr} {
		if !errors.Is(err, schema.ErrInvalidRecord) || errors.Is(err, schema.ErrUnavailable) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if got := server.Client().Get(t.Context(), key).Val(); got != "precious" {
		t.Errorf("got %q, want precious", got)
	}
}

func TestPassword(t *testing.T) {
	const password = "pw-that-nobody-shows"
	server := redistest.Start(t, "--requirepass", password)
	cfg := redistest.Config(server.Port())
	for given, says := range map[schema.Secret]string{"": "NOAUTH", "wrong-one": "WRONGPASS"} {
		cfg.Password = given
		s := open(t, cfg, prefix)
		_, err := s.Put(t.Context(), schema.Application, []Entry{{"x", schema.Record{"a": "1"}}}, Write)
		if !errors.Is(err, schema.ErrUnavailable) || !strings.Contains(err.Error(), says) || given != "" && strings.Contains(err.Error(), string(given)) {
			t.Errorf("with %q: got %v", string(given), err)
		}
	}
	cfg.Password = password
	put(t, open(t, cfg, prefix), Entry{"x", schema.Record{"a": "1"}})
}
