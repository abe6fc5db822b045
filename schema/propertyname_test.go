package schema

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"m2m-token-enricher/test/neighbours"
)

// configured names properties as an operator does.
var configured = &Config{
	Organization: Relation{From: []string{"application.org_code", "token.org"}},
	User:         Relation{From: []string{"application.user_id"}},
	Claims: []Claim{{Name: "region", From: "application.region"}, {Name: "plan", From: "organization.plan"}, {Name: "Plan", From: "organization.Plan"},
		{Name: "tarif", From: "organization.Größe"}, {Name: "mail", From: "user.email"}, {Name: "fixed", Value: "x"}},
}

func TestNearMisses(t *testing.T) {
	names := NamesOf(configured)
	for name, c := range map[string]struct {
		names    Names
		kind     Kind
		property string
		meant    string // "" if the name is none
	}{
		"the name itself":                 {nil, Organization, "is_suspended", ""},
		"another name":                    {nil, Organization, "suspended", ""},
		"a longer name":                   {nil, Organization, "is_suspended_by", ""},
		"a number more":                   {nil, Organization, "is_suspended2", ""},
		"a space before":                  {nil, Organization, " is_suspended", IsSuspended},
		"a space after":                   {nil, Organization, "is_suspended ", IsSuspended},
		"capitals":                        {nil, Organization, "IS_SUSPENDED", IsSuspended},
		"words of another style":          {nil, Organization, "isSuspended", IsSuspended},
		"a dash":                          {nil, Organization, "is-suspended", IsSuspended},
		"a space between":                 {nil, Organization, "Is Suspended", IsSuspended},
		"a zero-width space":              {nil, Organization, "is_sus\u200bpended", IsSuspended},
		"a filler":                        {nil, Organization, "is_suspended\u3164", IsSuspended},
		"a no-break space":                {nil, Organization, "is_suspended\u00a0", IsSuspended},
		"a long s":                        {nil, Organization, "i\u017f_suspended", IsSuspended},
		"Turkish capitals":                {nil, Organization, "\u0130S_SUSPENDED", IsSuspended},
		"Turkish capitals, lowered":       {nil, Organization, "i\u0307s_suspended", IsSuspended},
		"full width":                      {nil, Organization, "ｉｓ＿ｓｕｓｐｅｎｄｅｄ", IsSuspended},
		"not UTF-8":                       {nil, Organization, "is_suspended\xff", IsSuspended},
		"quotes":                          {nil, Organization, "“is_suspended”", IsSuspended},
		"an organization's code":          {nil, Organization, "Code", OrganizationCode},
		"a user's id":                     {nil, User, "ID", UserID},
		"a code of an application":        {nil, Application, "Code", ""},
		"an id of an organization":        {nil, Organization, "ID", ""},
		"separators alone":                {names, Application, "-", ""},
		"a relation":                      {names, Application, "orgCode", "org_code"},
		"a relation without its config":   {nil, Application, "orgCode", ""},
		"a claim's property":              {names, Application, "Region", "region"},
		"a claim's property elsewhere":    {names, Organization, "Region", ""},
		"one of two configured names":     {names, Organization, "Plan", ""},
		"beside two configured names":     {names, Organization, "PLAN", "plan"},
		"letters of another language":     {names, Organization, "GRÖSSE", ""},
		"other letters in another case":   {names, Organization, "GRÖßE", "Größe"},
		"a fixed name beside a config":    {names, Organization, "is suspended", IsSuspended},
		"a property that nothing names":   {names, User, "Phone", ""},
		"the same letters in other order": {names, User, "liame", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.names.Check(c.kind, Record{c.property: "c0nfidential"})
			switch {
			case (err != nil) != (c.meant != ""):
				t.Fatalf("Check(%q) = %v, want an error: %v", c.property, err, c.meant != "")
			case err != nil && (!errors.Is(err, ErrInvalidRecord) || !strings.Contains(err.Error(), `"`+c.meant+`"`) || strings.Contains(err.Error(), "c0nfidential")):
				t.Errorf("Check(%q) = %q, want ErrInvalidRecord that names %q and shows no value", c.property, err, c.meant)
			}
		})
	}
}

// TestEachNearMiss: all near misses in a record are reported.
func TestEachNearMiss(t *testing.T) {
	err := Names(nil).Check(Organization, Record{"Code": "a", "IsSuspended": "true", "plan": "gold"})
	if err == nil || !strings.Contains(err.Error(), `"Code"`) || !strings.Contains(err.Error(), `"IsSuspended"`) {
		t.Errorf("got %v, want both names in it", err)
	}
}

// FuzzNearMisses: no name that has the letters and digits of a name with a meaning
// is accepted.
func FuzzNearMisses(f *testing.F) {
	for seed := range uint64(64) {
		f.Add(seed, seed)
	}
	names := NamesOf(configured)
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		for kind, list := range names {
			for _, name := range list {
				near := neighbours.Edit(r, name)
				if err := names.CheckName(kind, near); err == nil && near != name && !(kind == Organization && (near == "plan" || near == "Plan")) {
					t.Errorf("CheckName(%s, %q) = nil, want an error that names %q", kind, near, name)
				}
			}
		}
	})
}

// TestAllProperties: a source that is a kind alone reads the whole record, beside the
// names that have a meaning. A name with a meaning stays one.
func TestAllProperties(t *testing.T) {
	names := NamesOf(&Config{Claims: []Claim{{From: "organization"}, {From: "user.email"}, {From: "token.a"}, {Value: "x"}}})
	for kind, want := range map[Kind]bool{Application: false, Organization: true, User: false, Token: false, "": false} {
		if got := names.All(kind); got != want {
			t.Errorf("All(%q) = %t, want %t", kind, got, want)
		}
	}
	if meant := names.Meant(Organization, "Is_Suspended"); meant != IsSuspended {
		t.Errorf("Is_Suspended may be taken for %q, want %s", meant, IsSuspended)
	}
	if meant := names.Meant(Organization, "-"); meant != "" {
		t.Errorf("- may be taken for %q, want nothing", meant)
	}
}
