package splice_test

import (
	"fmt"
	"log"

	"m2m-token-enricher/plugin/splice"
)

// A member that exists is rewritten in place, and a new one follows at the end.
// Everything else keeps its bytes.
func ExampleObject_With() {
	object, err := splice.Parse([]byte(`{ "exp" : 1732536000, "scp":["read"], "n":1.10 }`))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", object.With(
		splice.Member{Name: "org_code", Value: []byte(`"org_8ed648340ea9"`)},
		splice.Member{Name: "exp", Value: []byte("1732450200")},
	))
	// Output:
	// { "exp" : 1732450200, "scp":["read"], "n":1.10 ,"org_code":"org_8ed648340ea9"}
}
