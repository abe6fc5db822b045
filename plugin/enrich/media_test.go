package enrich

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
)

// Bodies of one grant: in ASCII, in UTF-8, and in bytes whose meaning is up to the
// charset.
const (
	asciiForm   = "grant_type=client_credentials&client_secret=s"
	utf8Form    = "grant_type=client_credentials&x=\u00e4"
	escapedForm = "grant_type=client_credentials&x=%C3%A4"
	asciiJSON   = `{"grant_type":"client_credentials"}`
	escapedJSON = `{"grant_type":"client_credentials","x":"\u00e4"}`
	utf8JSON    = `{"grant_type":"client_credentials","x":"` + "\u00e4" + `"}`
	nestedJSON  = `{"grant_type":"client_credentials","x":{"y":"` + "\u4e2d" + `\""}}`
)

// TestCharset: text of ASCII alone is the same in every charset that extends ASCII,
// and other text isn't.
func TestCharset(t *testing.T) {
	const beyond = form + "; charset=ISO-8859-1"
	for _, tt := range []struct {
		name, contentType, body string
		outcome                 Outcome
	}{
		{"utf-8", form + "; charset=UTF-8", utf8Form, Enriched},
		{"utf8", form + "; charset=utf8", escapedForm, Enriched},
		{"utf-8 in quotes", form + `; charset="utf-8"`, escapedForm, Enriched},
		{"utf-8 in single quotes", form + `; charset='utf-8'`, asciiForm, Enriched},
		{"without a value", form + "; charset=", escapedForm, Enriched},
		{"without a value in quotes", form + `; charset=""`, asciiForm, Enriched},
		{"without an equals sign", form + "; charset", asciiForm, Enriched},
		{"a space around the equals sign", form + "; charset = utf-8", asciiForm, Enriched},
		{"a semicolon at the end", form + ";", escapedForm, Enriched},
		{"two semicolons", form + ";; charset=utf-8;", asciiForm, Enriched},
		{"no space", form + ";charset=iso-8859-1", asciiForm, Enriched},
		{"a charset without its name", form + "; UTF-8", asciiForm, Enriched},
		{"another parameter", form + "; boundary=x", escapedForm, Enriched},
		{"another parameter before", form + "; boundary=x; charset=iso-8859-15", asciiForm, Enriched},
		{"twice", form + "; charset=utf-8; charset=utf-8", asciiForm, Enriched},
		{"two that extend ASCII", form + "; charset=utf-8; Charset=ISO-8859-1", asciiForm, Enriched},
		{"type and space in another case", "Application/X-WWW-Form-UrlEncoded ; CHARSET=US-ASCII", asciiForm, Enriched},
		{"json", jsonType + "; charset=windows-1252", asciiJSON, Enriched},
		{"json with an escape", jsonType + "; charset=windows-1252", escapedJSON, Enriched},
		{"json in utf-8", jsonType + "; charset=utf-8", utf8JSON, Enriched},

		{"beyond ascii", beyond, utf8Form, AmbiguousRequest},
		{"beyond ascii, escaped", beyond, escapedForm, AmbiguousRequest},
		{"beyond ascii in one of two charsets", form + "; charset=utf-8; charset=latin1", escapedForm, AmbiguousRequest},
		{"beyond ascii in single quotes", form + "; charset='utf-8'", escapedForm, AmbiguousRequest},
		{"json beyond ascii", jsonType + "; charset=windows-1252", utf8JSON, AmbiguousRequest},
		{"json beyond ascii in an inner value", jsonType + "; charset=gbk", nestedJSON, AmbiguousRequest},
		{"one of two doesn't extend ascii", form + "; charset=utf-8; charset=utf-16", asciiForm, AmbiguousRequest},
		{"quoted and doesn't extend ascii", form + `; charset="utf-16le"`, asciiForm, AmbiguousRequest},
		{"hidden in another parameter", form + "; x=\"; charset=utf-16", asciiForm, AmbiguousRequest},
		{"in the extended form", form + "; charset*=us-ascii''utf-16", asciiForm, AmbiguousRequest},
		{"in parts", form + "; charset*0=utf-; charset*1=16", asciiForm, AmbiguousRequest},
		{"an escape in quotes", form + `; charset="utf\-16"`, asciiForm, AmbiguousRequest},
		{"two types", form + "; charset=utf-8, " + jsonType, asciiForm, AmbiguousRequest},
		{"two types in quotes", form + `; x=", ` + jsonType + `; y="`, asciiForm, AmbiguousRequest},
		{"type of a prefix", form + "-x", asciiForm, AmbiguousRequest},
		{"no type", "; charset=utf-8", asciiForm, AmbiguousRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.exchange.Request.ContentType, f.exchange.Request.Body = tt.contentType, []byte(tt.body)
			f.want(tt.outcome)
		})
	}
}

// extending are labels of charsets that extend ASCII, as clients send them.
var extending = []string{
	"us-ascii", "US-ASCII", "ascii", "ANSI_X3.4-1968", "ISO646-US", "ISO_8859-1", "iso-8859-1", "ISO8859-1", "ISO8859_1", "8859_1", "iso-8859-15", "latin1",
	"latin-1", "l1", "ISO_8859-1:1987", "iso-8859-8-i", "windows-1252", "Cp1252", "x-cp1252", "cp1251", "windows-874", "IBM437", "cp850", "IBM00858", "cp866",
	"koi8-r", "KOI8-U", "macintosh", "x-mac-roman", "TIS-620", "GBK", "GB2312", "gb18030", "cp936", "MS936", "Big5", "big5-hkscs", "EUC-JP", "EUC-KR", "euc-tw",
	"utf_8", "UTF8", "unicode-1-1-utf-8",
}

// others are labels of charsets in which a byte below 0x80 isn't always the ASCII
// character, or that nobody knows.
var others = []string{
	"utf-16", "UTF-16LE", "utf16", "utf-32", "ucs-2", "iso-10646-ucs-2", "utf-7", "unicode-1-1-utf-7", "iso-2022-jp", "ISO-2022-KR", "csISO2022JP", "hz-gb-2312",
	"Shift_JIS", "sjis", "windows-31j", "ms932", "cp932", "x-sjis", "IBM037", "cp037", "ebcdic-us", "IBM1047", "cp500", "iso-646-de", "ISO646-JP", "johab",
	"scsu", "bocu-1", "binary", "x-user-defined", "replacement", "none", "8859", "iso-8859", "iso-8859-1000", "gbk16", "latin", "windows-12520",
}

func TestCharsetLabels(t *testing.T) {
	for want, labels := range map[bool][]string{true: extending, false: others} {
		for _, label := range labels {
			_, _, err := media(form+"; charset="+label, "")
			if (err == nil) != want {
				t.Errorf("media(charset=%s) = %v, want accepted: %t", label, err, want)
			}
		}
	}
}

// TestCharsetsExtendASCII: what Python knows as the charset of an accepted label
// decodes each ASCII character as itself. The labels are generated around those
// that are known.
func TestCharsetsExtendASCII(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 isn't installed")
	}
	accepted := map[string]bool{}
	for _, label := range generatedLabels(20_000) {
		if _, _, err := media(form+"; charset="+label, ""); err == nil {
			accepted[label] = true
		}
	}
	if len(accepted) < 200 {
		t.Fatalf("%d labels are accepted, want 200", len(accepted))
	}
	labels, err := json.Marshal(accepted)
	must(t, err)
	cmd := exec.CommandContext(t.Context(), "python3", "testdata/readers/charsets.py")
	cmd.Stdin = bytes.NewReader(labels)
	out, err := cmd.Output()
	must(t, err)
	var answer struct{ Known, Bad []string }
	must(t, json.Unmarshal(out, &answer))
	t.Logf("%d labels are accepted, and Python knows %d", len(accepted), len(answer.Known))
	if len(answer.Bad) > 0 || len(answer.Known) < 50 {
		t.Errorf("these of %d known charsets don't extend ASCII: %q; want none of 50 or more", len(answer.Known), answer.Bad)
	}
}

// generatedLabels returns labels of charsets with changes: other letter case and
// separators, other digits, parts left out and added.
func generatedLabels(n int) []string {
	g := generator{rand.New(rand.NewPCG(5, 6))}
	labels := make([]string, n)
	for i := range labels {
		label := g.pick(append(extending, others...)...)
		for range g.IntN(4) {
			at := g.IntN(len(label) + 1)
			switch g.IntN(4) {
			case 0:
				label = label[:at] + g.pick("-", "_", ".", "0", "1", "2", "3", "6", "7", "x", "jp", "-i") + label[at:]
			case 1:
				label = label[:at] + label[min(at+1, len(label)):]
			case 2:
				label = strings.ToUpper(label)
			default:
				label = g.pick("x-", "cs", "iso-", "cp", "") + label
			}
		}
		labels[i] = label
	}
	return labels
}
