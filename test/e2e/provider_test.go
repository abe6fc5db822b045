package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"m2m-token-enricher/test/redistest"
	"m2m-token-enricher/test/stage"
)

// providersPage is where operators read how to configure a provider.
const providersPage = "../../docs/providers.md"

// TestProviders: with the configuration on the page, the gateway enriches and
// passes what each provider answers.
func TestProviders(t *testing.T) {
	common, configs := pageConfigs(t)
	files, err := filepath.Glob("testdata/providers/*.yml")
	if err != nil || len(files) != len(configs) {
		t.Fatalf("got samples of %d providers, %v, want one for each of the %d on the page", len(files), err, len(configs))
	}
	samples, hosts := map[string]*providerSample{}, []string{}
	for name := range configs {
		s := readSample(t, filepath.Join("testdata/providers", name+".yml"))
		samples[name] = s
		hosts = append(hosts, host(t, s.Keys.URL), host(t, s.Discovery.URL))
	}
	hosts = slices.DeleteFunc(hosts, func(name string) bool { return name == "" })
	online := newInternet(t, hosts...)
	w := &world{T: t, redis: redistest.Start(t, redistest.WithUser(t, redistest.Reader)...), env: online.env}
	w.keyFile = filepath.Join(openDir(t), "keys.json")
	w.generateKey("ec")
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		t.Run(name, func(t *testing.T) {
			p := &providerWorld{world: *w, online: online, sample: samples[name]}
			p.T = t
			p.configure(common, configs[name])
			p.start()
			for _, name := range slices.Sorted(maps.Keys(p.sample.Exchanges)) {
				t.Run(name, func(t *testing.T) {
					q := *p
					q.T = t
					q.exchange(p.sample.Exchanges[name])
				})
			}
		})
	}
}

// pageConfigs returns the configurations on the page, by the name of the
// heading, and what is common to all.
func pageConfigs(t *testing.T) (common map[string]any, configs map[string]map[string]any) {
	t.Helper()
	page, err := os.ReadFile(providersPage)
	if err != nil {
		t.Fatal(err)
	}
	configs = map[string]map[string]any{}
	yamlBlock := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	for i, section := range strings.Split(string(page), "\n## ") {
		blocks := yamlBlock.FindAllStringSubmatch(section, -1)
		if len(blocks) == 0 {
			continue
		}
		heading, _, _ := strings.Cut(section, "\n")
		var block struct{ Config map[string]any }
		if err := yaml.UnmarshalStrict([]byte(blocks[0][1]), &block); err != nil || len(blocks) > 1 || block.Config == nil {
			t.Fatalf("%q has %d blocks, want one with a config: %v", heading, len(blocks), err)
		}
		if i == 0 {
			common = block.Config
		} else {
			name := strings.ReplaceAll(strings.ToLower(heading), " ", "-")
			configs[name] = block.Config
			if !strings.Contains(string(page), "\n| ["+heading+"](#"+name+") |") {
				t.Errorf("%s isn't in the table of %s", heading, providersPage)
			}
		}
	}
	if common == nil || len(configs) == 0 {
		t.Fatalf("%s has %d configurations", providersPage, len(configs))
	}
	return common, configs
}

// exchange sends the request of x and checks what the provider and the client
// received.
func (p *providerWorld) exchange(x sampleExchange) {
	p.Helper()
	body, raw := p.sample.answer(p.T, x)
	p.online.respond(body)
	sent := received{path: x.Request.Path, contentType: x.Request.Type, body: p.sample.body(p.T, x)}
	req, err := http.NewRequest(http.MethodPost, p.gateway.URL()+sent.path, strings.NewReader(sent.body))
	if err != nil {
		p.Fatal(err)
	}
	req.Header.Set("Content-Type", sent.contentType)
	if x.Request.Basic != "" {
		sent.authorization = basic(x.Request.Basic)
		req.Header.Set("Authorization", sent.authorization)
	}
	a := p.send(http.DefaultClient, req)
	if a.StatusCode != http.StatusOK {
		p.Fatalf("got %d %s, want a token", a.StatusCode, a.body)
	}
	if got := p.online.request(); got != sent {
		p.Error("the provider didn't receive what the client sent")
	}
	p.unstored(a)
	if x.Passes {
		if string(a.body) != string(body) {
			p.Error("got another answer, want the provider's, byte for byte")
		}
		return
	}
	p.checkAnswer(x, a)
	p.checkToken(x, a, raw)
}

// checkAnswer compares the members of an enriched answer with the provider's.
func (p *providerWorld) checkAnswer(x sampleExchange, a answer) {
	p.Helper()
	var got map[string]any
	if err := json.Unmarshal(a.body, &got); err != nil {
		p.Fatal(err)
	}
	delete(got, "access_token")
	if !reflect.DeepEqual(got, x.Answer) {
		p.Errorf("got the members %v, want %v and no other token", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(x.Answer)))
	}
}

// checkToken verifies an enriched token and compares it with raw: its claims
// are those of raw and x.Adds, and its type is that of raw.
func (p *providerWorld) checkToken(x sampleExchange, a answer, raw string) {
	p.Helper()
	issuer, _ := x.Token.Claims["iss"].(string)
	got, err := stage.Verify(context.Background(), p.jwksURL(), issuer, a.token())
	if err != nil {
		p.Fatalf("the token doesn't verify with the gateway's keys: %v", err)
	}
	_, text, err := stage.Unverified(raw)
	if err != nil {
		p.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(text, &want); err != nil {
		p.Fatal(err)
	}
	maps.Copy(want, x.Adds)
	if !reflect.DeepEqual(got, want) {
		p.Errorf("got the claims %v, want %v", got, want)
	}
	if got, want := a.header()["typ"], x.Token.Header["typ"]; got != want {
		p.Errorf("got typ %v, want the provider's %v", got, want)
	}
}
