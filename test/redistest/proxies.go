package redistest

import (
	"fmt"
	"strings"
)

// anyNumber of arguments.
const anyNumber = -1

// twemproxyKnows are the commands that twemproxy 0.5 passes on, of those that a
// client of records could send, with how many arguments each must have.
var twemproxyKnows = map[string]int{
	"auth": 1, "ping": 0, "exists": 1, "hgetall": 1, "hmget": anyNumber, "hset": 3, "hdel": anyNumber,
	"del": anyNumber, "get": 1, "set": 2, "getrange": 3, "psetex": 3, "eval": anyNumber, "evalsha": anyNumber,
}

// Twemproxy is a [Handler] that closes the connection at a command that twemproxy
// doesn't know, and at a form of one.
func Twemproxy(command []string) (reply string, ok bool) {
	arguments, known := twemproxyKnows[strings.ToLower(command[0])]
	return "", !known || arguments != anyNumber && arguments != len(command)-1
}

// envoyKnows are the commands that Envoy's redis_proxy passes on, of those that a
// client of records could send. Later releases know SCAN, too.
var envoyKnows = map[string]bool{
	"auth": true, "ping": true, "exists": true, "hgetall": true, "hmget": true, "hset": true, "hdel": true,
	"del": true, "get": true, "set": true, "getrange": true, "psetex": true, "select": true, "eval": true, "evalsha": true, "multi": true, "exec": true,
}

// Envoy is a [Handler] that answers a command that Envoy's redis_proxy doesn't
// know with an error.
func Envoy(command []string) (reply string, ok bool) {
	if envoyKnows[strings.ToLower(command[0])] {
		return "", false
	}
	return fmt.Sprintf("-ERR unknown command '%s', with args beginning with: %s\r\n", command[0], strings.Join(command[1:], " ")), true
}
