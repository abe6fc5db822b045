// Package neighbours makes names that a reader may take for another name.
package neighbours

import (
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"
)

// ignored are characters that nobody sees, or that separate words.
var ignored = []rune("\t\n\r \u00a0\u1680\u2003\u2028\u202f\u205f\u3000" +
	"\x01\x7f\u00ad\u034f\u061c\u115f\u17b4\u180b\u180e\u200b\u200c\u200d\u200e\u202e\u2060\u2066\u206a\u3164\ufe0f\ufeff\uffa0\ufff9\U0001bca0\U000e0041\U000e0100" +
	"-_\u2010\u2013\u2014\u2212\u203f\uff0d\uff3f.:'\"`/\u0301\u0307")

// Edit changes name at random, at least in one character, so that its letters and
// digits stay the same to a reader who ignores their case. The result may be name
// again.
func Edit(r *rand.Rand, name string) string {
	text := []rune(name)
	for range 1 + r.IntN(3) {
		at := r.IntN(len(text))
		switch c := text[at]; r.IntN(4) {
		case 0:
			text = slices.Insert(text, r.IntN(len(text)+1), ignored[r.IntN(len(ignored))])
		case 1:
			text[at] = unicode.SimpleFold(c)
		case 2:
			if c > ' ' && c <= '~' {
				text[at] = c - '!' + '！' // the same one in full width
			}
		case 3:
			if strings.ContainsRune("_-", c) {
				text = slices.Delete(text, at, at+1)
			}
		}
	}
	return string(text)
}

// Of returns names beside name, none twice: with each of the ignored characters
// before, in and after it, in other letter cases, and n that [Edit] makes.
func Of(name string, n int) []string {
	list := []string{strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:], strings.ReplaceAll(name, "_", ""), strings.ReplaceAll(name, "_", "-")}
	for _, c := range ignored {
		list = append(list, string(c)+name, name[:1]+string(c)+name[1:], name+string(c))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range n {
		list = append(list, Edit(r, name))
	}
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(other string) bool { return other == name })
}
