package resolver_test

import (
	"os"
	"testing"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/resolver"
	"github.com/python-wheel-build/axle/resolver/view"
)

const patch = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"

// TestHit goes through design §2 a sentence at a time.
func TestHit(t *testing.T) {
	for name, test := range map[string]func(w *world){
		"nothing changed: hit, also for another process": func(w *world) {
			v := w.view(decided{})
			r := w.built(v, "foo==1.0", "1")
			w.hit(v, "foo==1.0", r)
			w.fresh()
			w.hit(w.view(decided{}), "foo==1.0", r)
		},
		"never built: a miss that says so": func(w *world) {
			v := w.view(decided{})
			w.built(v, "foo==1.0", "1")
			w.up.Add(spec("foo", "2.0"))
			w.fresh()
			w.miss(v, "foo==2.0", "never built")
		},
		"a patch added: miss; taken out: the old record": func(w *world) {
			v := w.view(decided{})
			r := w.built(v, "foo==1.0", "1")
			patched := w.view(decided{files: map[string]string{"patches/foo/1.patch": patch}})
			w.miss(patched, "foo==1.0", "never built")
			w.built(patched, "foo==1.0", "patched")
			w.hit(v, "foo==1.0", r)
		},
		"patches of another version, another project, another variant: hit": func(w *world) {
			r := w.built(w.view(decided{}), "foo==1.0", "1")
			w.hit(w.view(decided{files: map[string]string{"patches/foo-1.1/1.patch": patch, "patches/bar/1.patch": patch,
				"patches/foo/cuda/1.patch": patch}}), "foo==1.0", r)
		},
		"a setting changed: miss for exactly the projects that see it": func(w *world) {
			v := w.view(decided{})
			w.built(v, "foo==1.0", "1")
			bar := w.built(v, "bar==1.0", "2")
			changed := w.view(decided{files: map[string]string{"settings/foo.yaml": "env: {A: b}\n"}})
			w.miss(changed, "foo==1.0", "never built")
			w.hit(changed, "bar==1.0", bar)
		},
		"a declared component changed: miss": func(w *world) {
			w.built(w.view(decided{environment: map[string]string{"env:CC": "gcc"}}), "foo==1.0", "1")
			w.miss(w.view(decided{environment: map[string]string{"env:CC": "clang"}}), "foo==1.0", "never built")
		},
		"a new release of a build requirement: hit": func(w *world) {
			v := w.view(decided{})
			tool := w.built(v, "tool==1.0", "t1")
			r := w.built(v, "foo==1.0", "1", tool)
			w.built(v, "tool==2.0", "t2")
			w.hit(v, "foo==1.0", r)
		},
		"a constraint that excludes a recorded requirement: miss, and building that requirement would not help": func(w *world) {
			v := w.view(decided{})
			w.built(v, "foo==1.0", "1", w.built(v, "tool==1.0", "t1"))
			w.miss(w.view(decided{constraints: "tool>=2\n"}), "foo==1.0", "constraints exclude")
		},
		"a constraint whose marker is false here: hit": func(w *world) {
			v := w.view(decided{})
			r := w.built(v, "foo==1.0", "1", w.built(v, "tool==1.0", "t1"))
			w.hit(w.view(decided{constraints: "tool>=2; sys_platform == 'win32'\n"}), "foo==1.0", r)
		},
		"a patched requirement: miss, wanting it; rebuilt to equal bytes: hit again": func(w *world) {
			v := w.view(decided{})
			tool := w.built(v, "tool==1.0", "t1")
			r := w.built(v, "foo==1.0", "1", tool)
			patched := w.view(decided{files: map[string]string{"patches/tool/1.patch": patch}})
			w.miss(patched, "foo==1.0", "tool==1.0", "tool==1.0")
			w.built(patched, "tool==1.0", "t1")
			w.hit(patched, "foo==1.0", r)
		},
		"a patched requirement rebuilt to other bytes: miss, and wanting nothing": func(w *world) {
			v := w.view(decided{})
			w.built(v, "foo==1.0", "1", w.built(v, "tool==1.0", "t1"))
			patched := w.view(decided{files: map[string]string{"patches/tool/1.patch": patch}})
			w.built(patched, "tool==1.0", "t1 patched")
			w.miss(patched, "foo==1.0", "another wheel of tool==1.0")
		},
		"a requirement's requirement patched: miss all the way up": func(w *world) {
			v := w.view(decided{})
			base := w.built(v, "base==1.0", "b")
			tool := w.built(v, "tool==1.0", "t", base)
			w.built(v, "foo==1.0", "1", tool)
			patched := w.view(decided{files: map[string]string{"patches/base/1.patch": patch}})
			w.miss(patched, "tool==1.0", "base==1.0", "base==1.0")
			w.miss(patched, "foo==1.0", "tool==1.0", "tool==1.0")
		},
		"records that only vouch for each other are not valid": func(w *world) {
			v := w.view(decided{})
			a, b := w.built(v, "a==1.0", "a"), w.built(v, "b==1.0", "b")
			// Now forget how those two began, and keep only that each was built with the other.
			ring := []resolver.Record{w.built(v, "a==1.0", "a", b), w.built(v, "b==1.0", "b", a)}
			for _, r := range []resolver.Record{a, b} {
				for _, key := range w.keys("records/" + string(r.Project) + "/") {
					if keep := ring[0].Input(); containsHex(key, string(keep)) || containsHex(key, string(ring[1].Input())) {
						continue
					}
					w.ok(os.Remove(w.path(key)))
				}
			}
			w.fresh()
			w.miss(v, "a==1.0", "b==1.0", "b==1.0")
		},
		"two valid records: the oldest": func(w *world) {
			v := w.view(decided{})
			one, two := w.built(v, "tool==1.0", "t1"), w.built(v, "tool==2.0", "t2")
			r := w.built(v, "foo==1.0", "1", one)
			w.built(v, "foo==1.0", "2", two)
			w.hit(v, "foo==1.0", r)
		},
		"the oldest one's bytes gone: the next": func(w *world) {
			v := w.view(decided{})
			r := w.built(v, "foo==1.0", "1", w.built(v, "tool==1.0", "t1"))
			next := w.built(v, "foo==1.0", "2", w.built(v, "tool==2.0", "t2"))
			w.ok(os.Remove(w.blob(r.Wheel)))
			w.hit(v, "foo==1.0", next)
		},
		"its metadata gone: miss": func(w *world) {
			v := w.view(decided{})
			r := w.built(v, "foo==1.0", "1")
			w.ok(os.Remove(w.blob(r.Metadata)))
			w.miss(v, "foo==1.0", "missing from the store")
		},
		"a requirement's bytes gone: still a hit": func(w *world) {
			v := w.view(decided{})
			tool := w.built(v, "tool==1.0", "t1")
			r := w.built(v, "foo==1.0", "1", tool)
			w.ok(os.Remove(w.blob(tool.Wheel)))
			w.hit(v, "foo==1.0", r)
		},
		"the wheel revoked": func(w *world) {
			v := w.view(decided{})
			w.revoke(w.built(v, "foo==1.0", "1").Wheel)
			w.miss(v, "foo==1.0", "revoked")
		},
		"the source revoked": func(w *world) {
			v := w.view(decided{})
			w.built(v, "foo==1.0", "1")
			w.revoke(w.lookup(v, "foo==1.0").Source.SHA256)
			w.miss(v, "foo==1.0", "revoked")
		},
		"a patch revoked": func(w *world) {
			v := w.view(decided{files: map[string]string{"patches/foo/1.patch": patch}})
			w.built(v, "foo==1.0", "1")
			w.revoke(cas.Digest(v.Patches[0].SHA256))
			w.miss(v, "foo==1.0", "revoked")
		},
		"a plugin's source revoked": func(w *world) {
			v := w.view(decided{plugins: plugged("foo", "one")})
			w.built(v, "foo==1.0", "1")
			w.revoke(v.Overrides["foo"].Sources[0].SHA256)
			w.miss(v, "foo==1.0", "revoked")
		},
		"a plugin added, edited, taken back": func(w *world) {
			bare, one, two := w.view(decided{}), w.view(decided{plugins: plugged("foo", "one")}), w.view(decided{plugins: plugged("foo", "two")})
			old, lib := w.built(bare, "foo==1.0", "1"), w.built(bare, "lib==1.0", "l")
			for _, v := range []*view.View{one, two} {
				w.miss(v, "foo==1.0", "never built")
				w.hit(v, "lib==1.0", lib)
			}
			made := w.built(one, "foo==1.0", "made by fromager")
			w.hit(one, "foo==1.0", made)
			w.miss(two, "foo==1.0", "never built")
			w.hit(bare, "foo==1.0", old)
		},
		"a requirement's wheel revoked, also one deeper": func(w *world) {
			v := w.view(decided{})
			base := w.built(v, "base==1.0", "b")
			tool := w.built(v, "tool==1.0", "t", base)
			w.built(v, "foo==1.0", "1", tool)
			w.revoke(base.Wheel)
			w.miss(v, "tool==1.0", "revoked")
			w.miss(v, "foo==1.0", "tool==1.0", "tool==1.0")
		},
		"a damaged record is moved away: miss": func(w *world) {
			v := w.view(decided{})
			w.built(v, "foo==1.0", "1")
			w.flip(w.path(w.keys("records/foo/")[0]))
			w.fresh()
			w.miss(v, "foo==1.0", "never built")
			if left, moved := w.keys("records/foo/"), w.keys("quarantine/"); len(left) != 0 || len(moved) != 1 {
				w.t.Fatalf("left %q, in quarantine %q", left, moved)
			}
		},
		"a record filed under another recipe's address: not an answer": func(w *world) {
			v := w.view(decided{})
			w.built(v, "foo==1.0", "1")
			other := w.view(decided{environment: map[string]string{"env:CC": "clang"}})
			digest, err := w.lookup(other, "foo==1.0").Recipe.Digest()
			w.ok(err)
			var r resolver.Record
			w.ok(w.store.Read(w.t.Context(), w.keys("records/foo/")[0], &r))
			w.ok(w.store.Create(w.t.Context(), "records/foo/1.0/"+string(digest)[7:]+"/"+string(r.Input())[7:]+"/0000.json", r))
			w.miss(other, "foo==1.0", "never built")
		},
	} {
		t.Run(name, func(t *testing.T) { test(newWorld(t)) })
	}
}

func containsHex(key, digest string) bool {
	return len(digest) > 7 && len(key) > 0 && indexOf(key, digest[7:]) >= 0
}

func TestPublishedAgain(t *testing.T) {
	w := newWorld(t)
	v := w.view(decided{})
	first := w.built(v, "foo==1.0", "1")
	if again := w.built(v, "foo==1.0", "other bytes"); again.Wheel != first.Wheel {
		t.Fatalf("the same inputs gave other bytes later: the record is %s, want the first, %s", again.Wheel, first.Wheel)
	}
	w.ok(os.Remove(w.blob(first.Wheel)))
	third := w.built(v, "foo==1.0", "third")
	if third.Wheel == first.Wheel {
		t.Fatal("the first wheel is lost, and the record still names it")
	}
	w.hit(v, "foo==1.0", third)
	if keys := w.keys("records/foo/"); len(keys) != 2 {
		t.Fatalf("records %q, want the lost one and the next", keys)
	}
	w.built(v, "foo==1.0", "1") // the first bytes come back
	w.hit(v, "foo==1.0", first)
}

func TestHolds(t *testing.T) {
	w := newWorld(t)
	v := w.view(decided{})
	tool := w.built(v, "tool==1.0", "t")
	w.built(v, "foo==1.0", "1", tool)
	w.built(v, "bar==1.0", "2")
	for _, test := range []struct {
		files map[string]string
		want  int
	}{{nil, 3}, {map[string]string{"patches/tool/1.patch": patch}, 1}, {map[string]string{"patches/bar/1.patch": patch}, 2}} {
		hits, err := w.catalog.Holds(t.Context(), w.view(decided{files: test.files}))
		w.ok(err)
		if len(hits) != test.want {
			t.Errorf("with %v: %d hits, want %d", test.files, len(hits), test.want)
		}
	}
}
