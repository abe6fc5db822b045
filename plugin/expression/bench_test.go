package expression

import "testing"

// BenchmarkValue measures a claim from a record, with the values of a new exchange
// each time.
func BenchmarkValue(b *testing.B) {
	for _, source := range []string{
		`organization.plan == "gold" ? "priority" : "standard"`,
		`has(token.ctx.org) ? token.ctx.org : application.org_code`,
		`organization.plan in ["gold", "silver"] && "admin" in token.roles ? "a" : "b"`,
		`organization.features.split(",").filter(f, f != "audit").join(" ")`,
	} {
		b.Run(source, func(b *testing.B) {
			x, err := Compile(source, "string")
			if err != nil {
				b.Fatal(err)
			}
			all := exchange(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.Value(NewValues(all.event, all.token, all.records)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCompile measures what a configuration pays for an expression when it starts.
func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := Compile(`organization.plan == "gold" ? "priority" : "standard"`, "string"); err != nil {
			b.Fatal(err)
		}
	}
}
