package simple

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	hexA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hexB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func page() Page {
	return Page{Project: "foo-bar", Files: []File{
		{Filename: "foo_bar-1.0-0_aaaaaaaaaaaa-py3-none-any.whl", Version: "1.0", URL: "../../files/" + hexA + "/foo_bar-1.0-0_aaaaaaaaaaaa-py3-none-any.whl",
			SHA256: hexA, Size: 1234, Uploaded: time.Date(2024, 2, 3, 4, 5, 6, 789012345, time.FixedZone("", 3600)), RequiresPython: ">=3.8,<4",
			Metadata: true, MetadataSHA256: hexB},
		{Filename: "foo_bar-1.0-0_1111222233334444-cp311-cp311-manylinux_2_36_x86_64.whl", Version: "1.0", URL: "x.whl", Yanked: true, Metadata: true},
		{Filename: "foo_bar-2!1.1+cpu-0_0123456789abcdef-cp311-cp311-manylinux_2_36_x86_64.whl", Version: "2!1.1+cpu",
			URL:      "../../view/@" + hexB + "/promise/foo_bar-2%211.1+cpu-0_0123456789abcdef-cp311-cp311-manylinux_2_36_x86_64.whl",
			Uploaded: time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC), RequiresPython: `>="3"&'<4'`,
			Yanked: true, YankedReason: `broken: <"it" & 'that'>`, Metadata: true},
		{Filename: "foo_bar-3-py3-none-any.whl", Version: "3", URL: "y.whl"},
	}}
}

func TestGolden(t *testing.T) {
	for name, got := range map[string][]byte{
		"page.json": page().JSON(), "page.html": page().HTML(),
		"empty.json": Page{Project: "nothing"}.JSON(), "empty.html": Page{Project: "nothing"}.HTML(),
		"root.json": Root{[]string{"attrs", "foo-bar"}}.JSON(), "root.html": Root{[]string{"attrs", "foo-bar"}}.HTML(),
		"root-empty.json": Root{}.JSON(),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(file, got, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("not as in %s:\n%s", file, got)
			}
		})
	}
}

// A promise has metadata and neither hash nor size: clients refuse a wheel whose bytes don't match what its page said.
func TestPromiseHasNoHashAndNoSize(t *testing.T) {
	var got struct{ Files []map[string]any }
	if err := json.Unmarshal(page().JSON(), &got); err != nil {
		t.Fatal(err)
	}
	promise := got.Files[2]
	if h, ok := promise["hashes"].(map[string]any); !ok || len(h) != 0 {
		t.Errorf("hashes = %v, want {}", promise["hashes"])
	}
	if _, there := promise["size"]; there {
		t.Error("a size is listed")
	}
	if promise["core-metadata"] != true {
		t.Errorf("core-metadata = %v", promise["core-metadata"])
	}
}

func TestGzip(t *testing.T) {
	want := page().JSON()
	a, b := Gzip(want), Gzip(want)
	if !bytes.Equal(a, b) {
		t.Error("two runs gave different bytes")
	}
	r, err := gzip.NewReader(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("unpacked to %q, %v", got, err)
	}
	if got := Gzip([]byte("x")); got != nil {
		t.Errorf("a body that only grows gave %d bytes", len(got))
	}
}

func TestNegotiate(t *testing.T) {
	const (
		pip     = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
		uv      = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
		browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
	)
	for _, c := range []struct{ accept, want string }{
		{"", TypeLegacy}, {" \t", TypeLegacy}, {"*/*", TypeLegacy}, {"text/*", TypeLegacy}, {pip, TypeJSON}, {uv, TypeJSON}, {browser, TypeLegacy},
		{"application/*", TypeJSON},
		{"text/html", TypeLegacy}, {"TEXT/HTML", TypeLegacy}, {"text/html;charset=utf-8", TypeLegacy}, {TypeHTML, TypeHTML}, {TypeJSON, TypeJSON},
		{"application/vnd.pypi.simple.latest+json", TypeJSON}, {"application/vnd.pypi.simple.latest+html", TypeHTML},
		{"application/vnd.pypi.simple.latest+html, text/html;q=0.5", TypeHTML},
		{TypeJSON + ", text/html", TypeJSON}, {"text/html, " + TypeJSON, TypeJSON}, {TypeHTML + ", text/html", TypeHTML},
		{TypeJSON + ";q=0.5, text/html;q=0.6", TypeLegacy}, {TypeJSON + ";q=0.5, text/html;q=0.4", TypeJSON},
		{"text/html;q=0, */*", TypeJSON}, {TypeJSON + ";q=0, application/*;q=0.3", TypeHTML}, {"*/*;q=0.1, " + TypeJSON + ";q=0", TypeLegacy},
		{"*/*, " + TypeJSON, TypeJSON},
		{TypeJSON + `;x="a,b;q=0"; q=0.3, text/html;q=0.2`, TypeJSON}, {TypeJSON + " ; Q = 1.000", TypeJSON}, {TypeJSON + "; q=1.", TypeJSON},
		{",,, text/html ,,", TypeLegacy}, {";q=1, text/html", TypeLegacy},
		{TypeJSON + ";q=2, text/html;q=0.1", TypeLegacy}, {TypeJSON + ";q=x, text/html;q=0.1", TypeLegacy}, {TypeJSON + ";q=0.1234, text/html;q=0.1", TypeLegacy},
		{"text/html;q=-1", ""}, {"text/html;q=0", ""}, {"text/html;q=0.000", ""}, {"*/*;q=0", ""}, {"application/json", ""}, {"image/*", ""}, {"*", ""},
		{"application/vnd.pypi.simple.v9+json", ""}, {"application/vnd.pypi.simple.v2+json, text/html;q=0.01", TypeLegacy}, {"garbage", ""}, {"\x00", ""},
		{strings.Repeat("a/b,", 63) + "text/html", TypeLegacy}, {strings.Repeat("a/b,", 64) + "text/html", ""},
		{"text/html;q=0.1," + strings.Repeat("x", 8192), TypeLegacy}, {strings.Repeat("x", 4095) + ",text/html", ""},
	} {
		got, ok := Negotiate(c.accept)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("Negotiate(%.120q) = %q, %v; want %q", c.accept, got, ok, c.want)
		}
	}
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip, deflate": true, "gzip, deflate, zstd": true, "identity": false, "gzip;q=0": false, "*": true, "*;q=0": false,
		"gzip;q=0, *": false, "gzip;q=0.001, identity": true, "GZIP": true, "x-gzip": true, "gzipped": false, "br;q=1.0, gzip;q=0.8, *;q=0.1": true,
	} {
		if got := AcceptsGzip(header); got != want {
			t.Errorf("AcceptsGzip(%q) = %v", header, got)
		}
	}
}

func FuzzNegotiate(f *testing.F) {
	for _, s := range []string{"", "*/*", "text/html;q=0.5, application/*", `a;b="\",`, TypeJSON + ", text/html; q=0.01", "text/html;q=0, */*;q=0.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		got, ok := Negotiate(accept)
		if ok != (got == TypeJSON || got == TypeHTML || got == TypeLegacy) || (!ok && got != "") {
			t.Fatalf("Negotiate(%q) = %q, %v", accept, got, ok)
		}
		if again, _ := Negotiate(strings.Clone(accept)); again != got {
			t.Fatalf("not the same twice: %q, %q", got, again)
		}
		// A refusal of everything that stands first never lets a type in that the rest does not name or match.
		if !ok && strings.TrimSpace(accept) != "" && len(accept) < 2000 && strings.Count(accept, ",") < 32 && strings.Count(accept, `"`) == 0 {
			if got, ok := Negotiate("*/*;q=0," + accept); ok {
				t.Fatalf("refused alone, %q after a refusal of all", got)
			}
			// And a type that is added with the full weight is always there.
			if got, ok := Negotiate(TypeJSON + "," + accept); !ok && !strings.Contains(strings.ToLower(accept), "json") {
				t.Fatalf("%q, %v with JSON added to %q", got, ok, accept)
			}
		}
	})
}

func FuzzHTMLNeverBreaksOut(f *testing.F) {
	f.Add("foo.whl", "u/x.whl", ">=3", `"><script>`)
	f.Fuzz(func(t *testing.T, filename, url, python, reason string) {
		got := string(Page{Project: "p", Files: []File{{Filename: filename, URL: url, RequiresPython: python, Yanked: true, YankedReason: reason, Metadata: true}}}.HTML())
		if n := strings.Count(got, "<"); n != strings.Count(string(Page{Project: "p", Files: []File{{Yanked: true}}}.HTML()), "<") {
			t.Fatalf("%d tags:\n%s", n, got)
		}
	})
}
