package index

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// TestDamagedName: a name whose pointer is damaged is an error that names the key, and the others go on.
func TestDamagedName(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	w.publish("other", true, "a<1")
	all, err := filepath.Glob(filepath.Join(w.dir, "names/default/*.json"))
	check(t, err)
	file := slices.Min(all)
	check(t, os.Chmod(file, 0o600))
	b, err := os.ReadFile(file)
	check(t, err)
	check(t, os.WriteFile(file, append(b, ' '), 0o600))
	w.publish("third", true, "a<2") // so that the names are read anew
	for _, path := range []string{"simple/", "simple/demo/", "view/default/simple/demo/", "readyz"} {
		if a := w.get(w.url + path); a.status != http.StatusInternalServerError || !strings.Contains(a.problem(t).Detail, "names/default/"+filepath.Base(file)) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if got := w.listed("view/other/simple/demo/"); len(got) != 1 {
		t.Errorf("the other name lists %+v", got)
	}
	if a := w.get(w.url + "api/v1/views"); a.status != http.StatusOK || !strings.Contains(a.body, filepath.Base(file)) || !strings.Contains(a.body, `"name":"other"`) {
		t.Errorf("views: %d %s", a.status, a.body)
	}
}

// TestFlightOutlivesName: who builds goes on seeing promises of the view that it builds for, when no name points there any more; clients
// see hits only.
func TestFlightOutlivesName(t *testing.T) {
	w := newWorld(t, nil)
	w.add(testindex.Spec{Name: "demo", Version: "1.0"})
	v := w.publish("default", true, "a<1")
	w.publish("default", true, "a<2")
	page := "view/@" + string(v.Digest()) + "/simple/demo/"
	if a := w.get(w.url + page); a.status != http.StatusOK {
		t.Errorf("the view before: %d %s", a.status, a.body)
	}
	w.publish("default", true, "a<3")
	if a := w.get(w.url + page); a.status != http.StatusNotFound {
		t.Errorf("a view that no name points to: %d %s", a.status, a.body)
	}
	if a := w.get(w.private + page); a.status != http.StatusOK || !strings.Contains(a.body, "/promise/") {
		t.Errorf("for a flight: %d %s", a.status, a.body)
	}
}
