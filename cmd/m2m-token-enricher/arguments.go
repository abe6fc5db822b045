package main

import (
	"slices"
	"strings"
)

// arity returns how many arguments a usage such as "FILE [KID]" or "ID KEY…"
// allows.
func arity(usage string) (least, most int) {
	const unlimited = 1 << 30
	for _, word := range strings.Fields(usage) {
		if !strings.HasPrefix(word, "[") {
			least++
		}
		most++
		if strings.Contains(word, "…") {
			most = unlimited
		}
	}
	return least, most
}

// kidLength is the length of an RFC 7638 thumbprint in base64url.
const kidLength = 43

// completing is the last argument when a shell asks how a line could continue.
const completing = "--generate-shell-completion"

// separate moves key IDs that begin with "-" behind "--", because they aren't
// flags. One in 64 begins so. It returns how many arguments stand there. A line
// that a shell completes is returned as it is.
func separate(args []string) (line []string, literal int) {
	if len(args) > 0 && args[len(args)-1] == completing {
		return args, 0
	}
	var last []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, last = args[:i], args[i+1:]
	}
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool {
		kid := len(arg) == kidLength && arg[0] == '-' && !strings.Contains(arg, "=")
		if kid {
			last = append(last, arg)
		}
		return kid
	})
	if len(last) == 0 {
		return args, 0
	}
	return slices.Concat(args, []string{"--"}, last), len(last)
}
