package enrich

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"
)

// FormMediaType is the media type of a token request (RFC 6749, section 4.4.2).
const FormMediaType = "application/x-www-form-urlencoded"

// media returns the media type of a body, which must be a form or JSON and not
// compressed. It reports whether the body must be ASCII because its charset may
// differ from UTF-8 elsewhere.
func media(contentType, contentEncoding string) (kind string, onlyASCII bool, err error) {
	if encoding := strings.TrimSpace(contentEncoding); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return "", false, errors.New("the body is encoded, and not every reader decodes it")
	}
	if contentType == FormMediaType { // nearly always
		return FormMediaType, false, nil
	}
	kind, params, _ := strings.Cut(contentType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	switch {
	case kind != FormMediaType && kind != "application/json":
		return "", false, errors.New("the Content-Type is neither that of a form nor that of JSON")
	case strings.Contains(params, ","):
		return "", false, errors.New("the Content-Type may be taken for several")
	}
	onlyASCII, err = charsets(params)
	return kind, onlyASCII, err
}

// charsetLabel matches a charset in the parameters of a media type, wherever a
// reader may find one.
var charsetLabel = regexp.MustCompile(`(?i)charset[*0-9]*\s*=?([^;]*)`)

// charsets returns an error unless text of ASCII characters is the same in every
// charset that params name. It reports whether other text may differ from UTF-8.
// What has no value is absent.
func charsets(params string) (onlyASCII bool, err error) {
	for _, found := range charsetLabel.FindAllStringSubmatch(params, -1) {
		label := strings.Trim(found[1], " \t\"")
		if label == "" || strings.EqualFold(label, "utf-8") || strings.EqualFold(label, "utf8") {
			continue
		}
		if !extendsASCII.MatchString(withoutPunctuation(label)) {
			return false, errors.New("the body's charset doesn't extend ASCII, or is unknown; send UTF-8")
		}
		onlyASCII = true
	}
	return onlyASCII, nil
}

// extendsASCII matches the labels, without punctuation, of charsets in which all
// readers take a byte below 0x80 that follows another one for the ASCII character.
// Missing are those with shifts, such as ISO-2022-JP, UTF-7 and HZ, and those in
// which readers differ about the backslash or the tilde, such as Shift_JIS.
var extendsASCII = regexp.MustCompile(`^(` + strings.Join([]string{
	`(us|cs)?ascii`, `us`, `iso646(us|irv1991)`, `ansix34(1968|1986)`, // ASCII itself
	`x?(unicode[0-9]{2})?utf8`,
	`(iso)?8859([1-9]|1[0-6])(19[89][0-9]|20[0-9]{2})?[ei]?`, `(cs)?(iso)?(latin|l)([1-9]|10)`,
	`(x?cp|windows|win|ms)(125[0-8]|874)`, `(cp|ibm)0*(437|819|850|852|855|857|858|860|861|862|863|865|866)`,
	`koi8(r|u|ru|t)`, `macintosh|x?mac(roman|cyrillic)`, `tis620`,
	`x?gbk|x?gb2312|gb18030|(cp|ms|windows)936`, `big5(hkscs)?|(cp|ms)950`, `x?euc(cn|jp|kr|tw)|(cp|ms|windows)949`,
}, `|`) + `)$`)

// withoutPunctuation returns label in lower case and without ASCII's punctuation,
// because readers take latin-1, Latin_1 and latin1 for the same.
func withoutPunctuation(label string) string {
	return strings.Map(func(r rune) rune {
		isLetter := r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= utf8.RuneSelf
		if !isLetter {
			return -1
		}
		return r
	}, strings.ToLower(label))
}

// isASCII reports whether a body is the same text in every charset that extends
// ASCII. What a form escapes is in the charset, too. What JSON escapes isn't.
func isASCII(body []byte, read parameters) bool {
	for _, c := range body {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return isJSON(body) || read.ascii()
}
