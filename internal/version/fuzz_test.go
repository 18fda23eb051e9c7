package version

import "testing"

func FuzzVersion(f *testing.F) {
	for _, s := range []string{"1.0", " v1!02.3-ALPHA_4.Post.5-dev6+Ab.01-x", "1.0-1", "1.0a.-1", "\u20031.0\x1f", "1!", "1.0+"} {
		f.Add(s, "1.0.post1")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		v, err := Parse(a)
		if err != nil {
			return
		}
		again, err := Parse(v.String())
		if err != nil || again.String() != v.String() || again.key != v.key {
			t.Fatalf("%q reads as %s, which reads as %s (%v)", a, v, again, err)
		}
		if v.Compare(again) != 0 || again.IsPrerelease() != v.IsPrerelease() {
			t.Fatalf("%s differs from itself", v)
		}
		if public := v.WithoutLocal(); public.Compare(v) > 0 || parse(t, public.String()).key != public.key {
			t.Fatalf("%s without its local version is %s", v, public)
		}
		if trimmed := parse(t, v.trimmed()); trimmed.Compare(v) != 0 {
			t.Fatalf("%s without trailing zeros is %s", v, trimmed)
		}
		w, err := Parse(b)
		if err != nil {
			return
		}
		if v.Compare(w) != -w.Compare(v) {
			t.Fatalf("%s and %s compare in one way only", v, w)
		}
		if (v.Compare(w) == 0) != (v.trimmed() == w.trimmed()) {
			t.Fatalf("%s and %s: order and text don't agree on equality", v, w)
		}
		// What the clauses mean by the order alone, where no rule of PEP 440 bends it.
		v, w = v.WithoutLocal(), w.WithoutLocal()
		for op, want := range map[string]bool{"==": v.Compare(w) == 0, "!=": v.Compare(w) != 0, ">=": v.Compare(w) >= 0, "<=": v.Compare(w) <= 0} {
			if parseSet(t, op+w.String()).Contains(v, Default) != want {
				t.Fatalf("%s%s holds %s: not %v", op, w, v, want)
			}
		}
		if parseSet(t, "<"+w.String()).Contains(v, Default) && v.Compare(w) >= 0 || parseSet(t, ">"+w.String()).Contains(v, Default) && v.Compare(w) <= 0 {
			t.Fatalf("< or > of %s holds %s", w, v)
		}
	})
}

func FuzzSet(f *testing.F) {
	for _, s := range []string{">=1,<2", "==1.0.*,!=1.0.3", "~=1.4.5a4", "===Foo,===1.0", "== 1.0+x , ", ">1.post.", "<\x1c0"} {
		f.Add(s, "1.0.3+x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		s, err := ParseSet(a)
		if err != nil {
			return
		}
		again, err := ParseSet(s.String())
		if err != nil || again.String() != s.String() || again.Canonical() != s.Canonical() {
			t.Fatalf("%q reads as %q, which reads as %q (%v)", a, s, again, err)
		}
		canonical, err := ParseSet(s.Canonical())
		if err != nil || canonical.Canonical() != s.Canonical() {
			t.Fatalf("%q is canonically %q, which is %q (%v)", a, s.Canonical(), canonical.Canonical(), err)
		}
		for _, pre := range []Prereleases{Default, Allow, Deny} {
			held := s.ContainsText(b, pre)
			if canonical.ContainsText(b, pre) != held {
				t.Fatalf("%q and %q don't agree on %q", s, canonical, b)
			}
			if v, err := Parse(b); err == nil && s.Contains(v, pre) != s.ContainsText(v.String(), pre) {
				t.Fatalf("%q: the version and the text %s don't agree", s, v)
			}
		}
	})
}
