package expression

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"m2m-token-enricher/plugin/splice"
	"m2m-token-enricher/schema"
)

// exchange returns the values that the tests evaluate with.
func exchange(t testing.TB) *Values {
	t.Helper()
	token, err := splice.Parse([]byte(`{"azp":"app_1","exp":1800000000,"ratio":0.5,"big":9007199254740993,"huge":123456789012345678901,"long":0.12345678901234567890,
		"scope":"read write","roles":["admin","ops"],"ctx":{"org":"org_1","level":3,"none":null},"empty":"","null":null,"yes":true,"html":"<a&b>","1e2":1e2}`))
	if err != nil {
		t.Fatal(err)
	}
	records := map[schema.Kind]schema.Record{
		schema.Application:  {"org_code": "org_1", "tier": "plan"},
		schema.Organization: {"plan": "gold", "features": "sso,audit", "seats": "12", "name": "Acme <\"&>", "region": "", "a.b": "dotted"},
	}
	event := Event{Audience: []string{"https://api"}, Scope: []string{"read", "write"}, IP: "192.0.2.1", Domain: "https://example.kinde.com", ClientID: "app_1"}
	return NewValues(event, token, func(kind schema.Kind) schema.Record { return records[kind] })
}

// TestValue: what expressions give, by the type of the claim.
func TestValue(t *testing.T) {
	for _, tt := range []struct{ typ, source, want string }{
		{"string", `organization.plan == "gold" ? "priority" : "standard"`, `"priority"`},
		{"string", `organization["plan"]`, `"gold"`},
		{"string", `organization["a.b"]`, `"dotted"`},
		{"string", `organization[application.tier]`, `"gold"`},
		{"string", `organization.name`, `"Acme <\"&>"`},
		{"string", `has(organization.region) ? organization.region : "eu"`, `"eu"`},
		{"string", `has(user.name) ? user.name : "nobody"`, `"nobody"`},
		{"string", `token.ctx.org`, `"org_1"`},
		{"string", `token.html`, `"<a&b>"`},
		{"string", `event.request.ip + " " + event.context.application.clientId`, `"192.0.2.1 app_1"`},
		{"string", `event.context.domains.kindeDomain + " " + event.context.workflow.trigger`, `"https://example.kinde.com m2m:token_generation"`},
		{"string", `"é\u0000"`, `"é\u0000"`},
		{"string", `"%s has %d".format([organization.plan, int(organization.seats)])`, `"gold has 12"`},
		{"number", `int(organization.seats) * 2`, `24`},
		{"number", `uint(organization.seats)`, `12`},
		{"number", `18446744073709551615u`, `18446744073709551615`},
		{"number", `double(organization.seats) / 5.0`, `2.4`},
		{"number", `token.exp`, `1800000000`},
		{"number", `token.big`, `9007199254740993`},
		{"number", `token.ratio`, `0.5`},
		{"number", `token["1e2"]`, `100`},
		{"number", `math.greatest(token.ctx.level, 2)`, `3`},
		{"boolean", `"admin" in token.roles`, `true`},
		{"boolean", `token.yes && !has(token.ctx.none)`, `true`},
		{"boolean", `has(token.empty) || has(token["ctx"].none) || "null" in token`, `false`},
		{"boolean", `organization.name.matches("^Acme .*$")`, `true`},
		{"boolean", `sets.contains(event.request.auth.scope, ["read"])`, `true`},
		{"boolean", `token.ctx == {"org": "org_1", "level": 3}`, `true`},
		{"boolean", `{"org": "org_1", "level": 3.0} == token.ctx`, `true`},
		{"strings", `organization.features.split(",")`, `["sso","audit"]`},
		{"strings", `token.roles.filter(r, r != "ops")`, `["admin"]`},
		{"strings", `organization.map(name, name)`, `["a.b","features","name","plan","seats"]`},
		{"strings", `[]`, `[]`},
		{"json", `{"b": [1, 2.5, null, true], "a": {"<": "&"}}`, `{"a":{"<":"&"},"b":[1,2.5,null,true]}`},
		{"json", `token.ctx`, `{"level":3,"org":"org_1"}`},
		{"json", `[organization.plan, size(token.roles)]`, `["gold",2]`},
		{"json", `null`, `null`},
		{"json", `organization`, `{"a.b":"dotted","features":"sso,audit","name":"Acme <\"&>","plan":"gold","seats":"12"}`},
	} {
		t.Run(tt.source, func(t *testing.T) {
			x, err := Compile(tt.source, tt.typ)
			if err != nil {
				t.Fatalf("Compile: %v", err)
			}
			got, err := x.Value(exchange(t))
			if err != nil || string(got) != tt.want {
				t.Errorf("Value: got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

// TestFailure: what an evaluation reports, without a value of a record or a token.
func TestFailure(t *testing.T) {
	for _, tt := range []struct {
		typ, source, want string
		missing           bool
	}{
		{"string", `organization.region`, `expr needs organization.region at 1:13, which is missing`, true},
		{"string", `user.name`, `expr needs user.name at 1:5, which is missing`, true},
		{"string", `"a" + organization["region"]`, `expr needs organization.region at 1:19, which is missing`, true},
		{"string", `token.ctx.none`, `expr needs token.ctx.none at 1:10, which is missing`, true},
		{"string", `token.none.at.all`, `expr needs token.none.at.all at 1:14, which is missing`, true},
		{"string", `organization[organization.plan]`, `expr needs organization at 1:13, which is missing`, true},
		{"string", `{"gold": "a"}[organization.seats]`, `expr needs a key or an element at 1:14, which is missing`, true},
		{"string", `token.roles[2]`, `expr needs token.roles at 1:12, which is missing`, true},
		{"string", `organization.features.split(",")[7]`, `expr needs a key or an element at 1:33, which is missing`, true},
		{"number", `int(organization.plan)`, `expr failed at 1:4`, false},
		{"number", `1 / (int(organization.seats) - 12)`, `expr failed at 1:3`, false},
		{"number", `token.huge`, `expr failed at 1:6`, false},
		{"number", `token.long`, `expr failed at 1:6`, false},
		{"number", `double(organization.seats) / 0.0`, `the result of expr is a value that JSON doesn't have`, false},
		{"string", `token.exp`, `the result of expr is not of type string`, false},
		{"strings", `token.ctx.org`, `the result of expr is not of type strings`, false},
		{"strings", `[dyn(1)]`, `the result of expr is not of type strings`, false},
		{"json", `dyn({1: 2})`, `the result of expr is a map with a key that isn't a string`, false},
		{"json", `dyn(b"gold")`, `the result of expr is a value that JSON doesn't have`, false},
	} {
		t.Run(tt.source, func(t *testing.T) {
			x, err := Compile(tt.source, tt.typ)
			if err != nil {
				t.Fatalf("Compile: %v", err)
			}
			got, err := x.Value(exchange(t))
			if err == nil || err.Error() != tt.want || errors.Is(err, ErrMissing) != tt.missing {
				t.Errorf("Value: got %s, %v, want %s", got, err, tt.want)
			}
			for _, value := range []string{"gold", "sso", "org_1", "12345"} {
				if err != nil && strings.Contains(err.Error(), value) {
					t.Errorf("the error shows a value: %v", err)
				}
			}
		})
	}
}

// TestErrors: what is wrong with a source, where, and what is right.
func TestErrors(t *testing.T) {
	for _, tt := range []struct{ typ, source, want string }{
		{"string", `organisation.plan`, `1:1: undeclared reference to 'organisation' (did you mean 'organization'?)`},
		{"string", "organization.plan +\n  tokn.a", `2:3: undeclared reference to 'tokn' (did you mean 'token'?)`},
		{"string", `event.application.id`, `1:1: undeclared reference to 'event'; the event has only event.request.auth.audience, event.request.auth.scope, event.request.ip, event.context.domains.kindeDomain, event.context.application.clientId, event.context.workflow.trigger`},
		{"strings", `event.request.auth.audence`, `1:19: undeclared reference to 'event.request.auth.audence' (did you mean 'event.request.auth.audience'?)`},
		{"string", `organization.plan.lowerAsci()`, `1:28: undeclared reference to 'lowerAsci' (did you mean 'lowerAscii'?)`},
		{"string", `organization.plan + 1`, `1:19: found no matching overload for '+' applied to '(string, int)'`},
		{"string", `organization.plan == "a" ? 1 : "x"`, `1:26: found no matching overload for '?:' applied to '(bool, int, string)'`},
		{"string", `organization.plan +`, `1:20: syntax error: mismatched input '<EOF>'`},
		{"string", `"é" + now()`, `1:10: undeclared reference to 'now'`},
		{"string", `timestamp("2026-01-01T00:00:00Z")`, `1:10: undeclared reference to 'timestamp'`},
		{"string", `string(google.protobuf.Timestamp{seconds: 1})`, `1:33: a message can't be a part of a claim; write a map`},
		{"boolean", `organization.plan.matches("(")`, `1:27: invalid matches argument`},
		{"string", strings.Repeat("(", 300), `expression recursion limit exceeded: 250`},
		{"string", `[qa, qb, qc, qd, qe, qf, qg]`, "1:2: undeclared reference to 'qa'\n1:6: undeclared reference to 'qb'\n1:10: undeclared reference to 'qc'\n1:14: undeclared reference to 'qd'\n1:18: undeclared reference to 'qe'\n2 more errors"},
		{"string", `1`, `gives int, but type is string; set type: number`},
		{"number", `organization.plan`, `gives string, but type is number; set type: string`},
		{"string", `organization.plan.split(",")`, `gives list(string), but type is string; set type: strings`},
		{"strings", `[1]`, `gives list(int), but type is strings; set type: json`},
		{"json", `b"a"`, `gives bytes, but type is json; no claim can be bytes`},
		{"json", `{1: "a"}`, `gives map(int, string), but type is json; no claim can be map(int, string)`},
		{"string", `type(1)`, `gives type(int), but type is string; no claim can be type(int)`},
		{"number", `int("twelve")`, `expr failed`},
		{"string", strings.Repeat(" ", schema.MaxExpressionSize) + "1", `longer than 4096 bytes`},
		{"boolean", `organization.all(a, organization.all(b, organization.all(c, organization.all(d, a != b && c != d))))`, `may cost more than 100000000 with large records and tokens; use fewer nested loops, or limit what they go through`},
		{"string", `["ab"]` + strings.Repeat(`.map(x, x + x)`, 60) + `[0]`, `may cost more than 100000000 with large records and tokens; use fewer nested loops, or limit what they go through`},
	} {
		t.Run(tt.source, func(t *testing.T) {
			_, err := Compile(tt.source, tt.typ)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("Compile: got %v, want %s", err, tt.want)
			}
		})
	}
}

// TestUsual: expressions that go through lists and records once, or one list for each
// element of another, are accepted.
func TestUsual(t *testing.T) {
	for _, source := range []string{
		`organization.features.split(",").filter(f, f in organization.allowed.split(","))`,
		`organization.features.split(",").map(f, f.trim().lowerAscii()).join(" ")`,
		`organization.features.split(",").filter(f, organization.exists(name, name == f))`,
		`organization.filter(name, name.startsWith("feature_") && organization[name] == "true").map(name, name.substring(8))`,
		`token.roles.exists(r, token.groups.exists(g, g == r))`,
		`sets.intersects(organization.features.split(","), event.request.auth.scope)`,
		`token.scope.split(" ").filter(s, s.matches("^[a-z]+:.*$"))`,
		`organization.name.replace(organization.prefix, organization.plan)`,
	} {
		if _, err := Compile(source, schema.TypeJSON); err != nil {
			t.Errorf("%s: got %v, want no error", source, err)
		}
	}
}

// TestReads: the properties and claims that an expression names, and whole records
// where it names none.
func TestReads(t *testing.T) {
	for source, want := range map[string][]string{
		`"fixed"`:                nil,
		`event.request.ip`:       nil,
		`organization.plan`:      {"organization.plan"},
		`.organization.plan`:     {"organization.plan"},
		`organization["a b"]`:    {"organization.a b"},
		`has(organization.plan)`: {"organization.plan"},
		`organization.plan + organization.plan + user.name`: {"organization.plan", "user.name"},
		`organization[application.key]`:                     {"application.key", "organization"},
		`organization.exists(k, k == "plan")`:               {"organization"},
		`"plan" in organization`:                            {"organization"},
		`size(organization)`:                                {"organization"},
		`[organization][0].plan`:                            {"organization"},
		`(true ? organization : user).plan`:                 {"organization", "user"},
		`organization["pl" + "an"]`:                         {"organization"},
		`{"plan": 1}[organization.plan]`:                    {"organization.plan"},
		`organization.plan.split(",")[0]`:                   {"organization.plan"},
		`["a"].map(user, user + organization.plan)`:         {"organization.plan", "user"},
		`token.ctx["org"].code`:                             {"token.ctx.org.code"},
		`token.roles[0]`:                                    {"token.roles"},
		`token.roles.exists(r, r == organization.role)`:     {"organization.role", "token.roles"},
		`token`: {"token"},
	} {
		x, err := Compile(source, schema.TypeJSON)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got := x.Reads(); !slices.Equal(got, want) {
			t.Errorf("%s reads %q, want %q", source, got, want)
		}
	}
}

// TestLimits: an evaluation ends at its limits, whatever is in the records.
func TestLimits(t *testing.T) {
	const limit = "expr needs too much work for these records: it ended at its limit"
	large := schema.Record{"list": strings.Repeat("a,", schema.MaxPropertySize/2), "text": strings.Repeat("ab", schema.MaxPropertySize/2)}
	claim := `"` + strings.Repeat("c", MaxClaimSize) + `"`
	token, err := splice.Parse([]byte(`{"large":` + claim + `,"deep":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) +
		`,"nested":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`))
	if err != nil {
		t.Fatal(err)
	}
	event := Event{Audience: []string{"a", strings.Repeat("a", MaxClaimSize)}, Scope: make([]string, MaxClaimSize+1)}
	for _, tt := range []struct{ name, typ, source, want string }{
		{"work", "boolean", `organization.list.split(",").all(a, a in organization.list.split(","))`, limit},
		{"a long text", "number", `size(organization.text.replace("", organization.text))`, limit},
		{"a list that doubles", "number", `size([[1, 1]]` + strings.Repeat(`.map(x, x + x)`, 20) + `[0])`, limit},
		{"a text that doubles", "number", `size([organization.text]` + strings.Repeat(`.map(x, x + x)`, 10) + `[0])`, limit},
		{"the result", "string", `organization.text + "!"`, "the result of expr is too large, with more than 4096 bytes or nested more than 100 times"},
		{"a claim of the token", "number", `size(token.large)`, "expr failed at 1:11"},
		{"depth of a claim", "number", `size(token.nested)`, "expr failed at 1:11"},
		{"size and depth of a claim", "number", `size(token.deep)`, "expr failed at 1:11"},
		{"audiences of the token", "boolean", `event.request.auth.audience.exists(a, a == "b")`, "expr failed at 1:19"},
		{"scopes of the token", "number", `size(event.request.auth.scope)`, "expr failed at 1:24"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x, err := Compile(tt.source, tt.typ)
			if err != nil {
				t.Fatalf("Compile: %v", err)
			}
			got, err := x.Value(NewValues(event, token, func(schema.Kind) schema.Record { return large }))
			if err == nil || err.Error() != tt.want {
				t.Errorf("Value: got %.50s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

// TestReadsIP: the client's IP is read only where an expression names it.
func TestReadsIP(t *testing.T) {
	for source, want := range map[string]bool{`event.request.ip`: true, `true ? "a" : .event.request.ip`: true, `event.request.auth.scope`: false, `"event.request.ip"`: false} {
		x, err := Compile(source, schema.TypeJSON)
		if err != nil || x.ReadsIP() != want {
			t.Errorf("%s: got %v, %v, want %t", source, x, err, want)
		}
	}
}
