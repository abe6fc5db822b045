package splice

import (
	"fmt"
	"strings"
	"testing"
)

func TestWalk(t *testing.T) {
	for _, tt := range []struct{ text, visited string }{
		{`"a"`, `="a"`},
		{` {"a":1,"\u0062":{"c":[2,{"d":null}],"e":{}},"f":"x"} `, `={ a=1 b={ c=[ =2 ={ d=null e={ f="x"`},
		{`[[],"a",true]`, `=[ =[ ="a" =true`},
		{`{"a":1,"a":2,"b":"` + "\xff" + `"}`, `={ a=1 a=2 b="` + "\xff" + `"`},
		{`{"a":1}{`, `={ a=1 ={`},
		{`{"a":1,]`, `={ a=1`},
		{``, ``},
		{`x`, ``},
	} {
		var visited []string
		err := Walk([]byte(tt.text), func(m Member) bool {
			visited = append(visited, fmt.Sprintf("%s=%s", m.Name, m.Value))
			return true
		})
		if got := strings.Join(visited, " "); got != tt.visited || err != nil && strings.Contains(err.Error(), "a") && strings.Contains(err.Error(), `"`) {
			t.Errorf("Walk(%s) visited %s, %v, want %s", tt.text, got, err, tt.visited)
		}
	}
}

func TestWalkStops(t *testing.T) {
	n := 0
	if err := Walk([]byte(`[1,2,3`), func(Member) bool { n++; return n < 2 }); n != 2 || err != nil {
		t.Errorf("visited %d, %v, want 2", n, err)
	}
}
