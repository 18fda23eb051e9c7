package dist

import (
	"slices"
	"strings"
	"testing"
)

func FuzzRequirement(f *testing.F) {
	for _, s := range []string{"Foo.Bar [ B_c , a ] (>=1, <2.*) ; extra == 'A'", "a@http://h/x;y ; os_name=='b'", "a===b,c", "a\x1c>=1", "a[]()"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRequirement(s)
		if err != nil {
			return
		}
		for _, text := range []string{r.String(), r.Canonical()} {
			again, err := ParseRequirement(text)
			if err != nil || again.Canonical() != r.Canonical() || text == r.String() && again.String() != text {
				t.Fatalf("%q reads as %q, which reads as %q (%v)", s, text, again, err)
			}
		}
		if q, err := ParseProject(string(r.Project)); err != nil || q != r.Project {
			t.Fatalf("%q: project %q is not in normal form", s, r.Project)
		}
	})
}

func FuzzMarker(f *testing.F) {
	for _, s := range []string{"python_version<'3' and(os.name=='nt' or'x'not in extra)", `((a)) or "\x41\n\\" == extra`, "((os_name=='a'))"} {
		f.Add(s, "3.11", "a-b")
	}
	f.Fuzz(func(t *testing.T, s, a, b string) {
		m, err := ParseMarker(s)
		if err != nil {
			return
		}
		again, err := ParseMarker(m.String())
		if err != nil || again.String() != m.String() {
			t.Fatalf("%q reads as %q, which reads as %q (%v)", s, m, again, err)
		}
		env := map[string]string{"extra": a}
		for i, name := range variables {
			if i%4 != 3 {
				env[name] = []string{a, b, "3.11"}[i%3]
			}
		}
		v, verr := m.Eval(env)
		if w, werr := again.Eval(env); v != w || (verr == nil) != (werr == nil) {
			t.Fatalf("%q is %v (%v), %q is %v (%v)", s, v, verr, again, w, werr)
		}
	})
}

func FuzzWheelName(f *testing.F) {
	for _, s := range []string{"Foo.Bar-01.0+x-7ab-py2.py3-none-any.whl", "a-1!2-py3-none-any.whl", "a-1-007-CP3-x-y.z.whl"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w, err := ParseWheelName(s)
		if err != nil {
			return
		}
		if strings.ContainsAny(s, "/\\ \n\x00%") {
			t.Fatalf("%q is taken", s)
		}
		for _, build := range []string{"", "0_ab", w.Build.String()} {
			for _, name := range []string{w.With(build), FormatWheelName(w.Project, w.Version, build, w.tags)} {
				v, err := ParseWheelName(name)
				if err != nil || v.Project != w.Project || v.Version.Compare(w.Version) != 0 || v.Build.String() != build || !slices.Equal(v.Tags, w.Tags) {
					t.Fatalf("%q with build tag %q is %q: %v, %v", s, build, name, v, err)
				}
			}
		}
	})
}

func FuzzSdistName(f *testing.F) {
	for _, s := range []string{"Foo.Bar-01.0.tar.gz", "a-b-1.0-1.zip", "a--1.tgz", "a-1-2.tar.bz2"} {
		f.Add(s, "a-b")
	}
	f.Fuzz(func(t *testing.T, s, want string) {
		if strict, err := ParseSdistFilename(s); err == nil {
			lenient, err := ParseSdistName(s, strict.Project)
			if err != nil || lenient.Version.Compare(strict.Version) != 0 || lenient.Ext != strict.Ext {
				t.Fatalf("%q is %v, of %s it is %v (%v)", s, strict, strict.Project, lenient, err)
			}
		}
		p, err := ParseProject(want)
		if err != nil {
			return
		}
		if n, err := ParseSdistName(s, p); err == nil {
			name := p.Override() + "-" + n.Version.String() + n.Ext
			again, err := ParseSdistName(name, p)
			if n.Project != p || err != nil || again.Version.String() != n.Version.String() || again.Ext != n.Ext {
				t.Fatalf("%q is %v, %q is %v (%v)", s, n, name, again, err)
			}
		}
	})
}

func FuzzMetadata(f *testing.F) {
	const head = "Metadata-Version: 2.2\nName: a\nVersion: 1\n"
	for _, s := range []string{head, head + "Requires-Dist: b\n  >=1\r\nProvides-Extra: X\nDynamic: Y\n\nbody", head + "Author: \xe9\nx\nRequires-Python: >3.*"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMetadata(b)
		if err != nil {
			return
		}
		var out strings.Builder
		line := func(field, value string) {
			if value != "" {
				out.WriteString(field + ": " + value + "\n")
			}
		}
		line("Metadata-Version", m.MetadataVersion)
		line("Name", string(m.Name))
		line("Version", m.Version.String())
		line("Requires-Python", m.RequiresPython)
		for _, r := range m.RequiresDist {
			line("Requires-Dist", r.String())
		}
		for _, e := range m.ProvidesExtra {
			line("Provides-Extra", e)
		}
		for _, d := range m.Dynamic {
			line("Dynamic", d)
		}
		again, err := ParseMetadata([]byte(out.String()))
		if err != nil {
			t.Fatalf("%q is written as %q: %v", b, out.String(), err)
		}
		if same, why := m.SameRequirements(again); !same || again.Static() != m.Static() || again.Name != m.Name || again.Version.Compare(m.Version) != 0 {
			t.Fatalf("%q is written as %q: %s", b, out.String(), why)
		}
	})
}
