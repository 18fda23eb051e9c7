package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/internal/testindex"
)

// variants is a configuration of two views, for a CPU and for an accelerator: other images, other files, and what more says for both.
func variants(more string) string {
	var b strings.Builder
	b.WriteString("views:\n")
	for i, v := range []string{"cpu", "cuda"} {
		name := v
		if i == 0 {
			name = "default"
		}
		fmt.Fprintf(&b, "  %s:\n    settings: overrides/\n    variant: %s\n    upstream: {main: %%UP%%}\n    environment:\n      image: %s\n%s",
			name, v, imageOf(fmt.Sprint(i)), strings.ReplaceAll(more, "%VARIANT%", v))
	}
	return b.String()
}

// in is the rig as clients of another view see it.
func (r *rig) in(view string) *rig {
	other := *r
	other.base += "/view/" + view
	return &other
}

// TestShareAcrossAccelerators: where it is declared that pure wheels don't depend on the image, a second variant builds what depends on the
// accelerator and nothing else. Where nobody declares it, nothing is shared.
func TestShareAcrossAccelerators(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.args = []string{"--workers", "2"}
	r.config = variants("      share_pure: [image]\n")
	r.write("overrides/settings/kernels.yaml", "variants:\n  cpu: {env: {ACCELERATOR: none}}\n  cuda: {env: {ACCELERATOR: cuda}}\n")
	var pins, names []string
	add := func(s testindex.Spec) {
		s.Version = "1.0"
		r.up.Add(s)
		names, pins = append(names, s.Name), append(pins, s.Name+"==1.0")
	}
	for i := range 17 { // a chain, each built with the one before
		s := testindex.Spec{Name: fmt.Sprintf("pure%02d", i)}
		if i > 0 {
			s.BuildRequires = []string{names[i-1]}
		}
		add(s)
	}
	add(testindex.Spec{Name: "kernels", OnBuild: "seen['for'] = os.environ['ACCELERATOR']\n", BuildRequires: []string{"pure16"}}) // by its variant's variable
	add(testindex.Spec{Name: "ext", Ext: true})                                                                                   // compiled
	add(testindex.Spec{Name: "user", BuildRequires: []string{"kernels", "pure03"}, See: []string{"kernels"}})                     // by what it is built with
	r.start()
	build := func(view string, want int) {
		t.Helper()
		before := r.built()
		if _, stderr, err := r.run(append([]string{"build", "--view", view}, pins...)...); err != nil {
			t.Fatalf("build in %s: %v\n%s", view, err, stderr)
		}
		if got := r.built() - before; got != want {
			t.Errorf("%s: %d builds, want %d", view, got, want)
		}
	}
	build("default", 20)
	cuda := r.in("cuda")
	for _, name := range names {
		if hit, want := cuda.only(name).hit(), strings.HasPrefix(name, "pure"); hit != want {
			t.Errorf("%s is a hit for the accelerator: %t, want %t", name, hit, want)
		}
	}
	build("cuda", 3)
	build("cuda", 0)
	build("default", 0)
	for _, name := range names {
		one, other := r.only(name), cuda.only(name)
		if shared := one.URL == other.URL; shared == (name == "kernels") || strings.HasPrefix(name, "pure") && !shared {
			t.Errorf("%s: %s, and for the accelerator %s", name, one.URL, other.URL)
		}
	}
	folder := cuda.installs(clients(t)[1], r.home(), names...)
	if b, err := os.ReadFile(filepath.Join(folder, "kernels.py")); err != nil || !strings.Contains(string(b), `"for": "cuda"`) {
		t.Errorf("%v %s", err, b)
	}
	if stdout, stderr, err := r.run("build", "--check", "--view", "cuda", "pure05==1.0"); err != nil || !strings.Contains(stdout+stderr, "identical") {
		t.Errorf("a shared wheel checked: %v %s %s", err, stdout, stderr)
	}

	r.config = variants("")
	r.restart()
	cuda = r.in("cuda")
	for _, name := range names {
		if !r.only(name).hit() {
			t.Errorf("%s is a miss where it was built", name)
		}
		// Of the three, one is built with nothing.
		if hit := cuda.only(name).hit(); hit != (name == "ext") {
			t.Errorf("nobody says what may be shared, and %s is a hit for the accelerator: %t", name, hit)
		}
	}
}

// TestBakedVariant: a project that packs what it was built for is not shared, since what a view declares of its own counts for pure wheels,
// too. One that says that it does not depend on that, and so can't, is.
func TestBakedVariant(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("etc/cpu.conf", "for the cpu")
	r.write("etc/cuda.conf", "for cuda")
	r.config = variants("      share_pure: [image, libc, system]\n      files: {variant: etc/%VARIANT%.conf}\n      projects: {blind: {without: ['file:variant']}}\n")
	const bakes = "p = '/opt/axle/variant'\nseen['for'] = open(p).read() if os.path.exists(p) else 'anything'\n"
	r.up.Add(testindex.Spec{Name: "baker", Version: "1.0", OnBuild: bakes}, testindex.Spec{Name: "blind", Version: "1.0", OnBuild: bakes})
	r.start()
	for _, c := range []struct {
		view       *rig
		name, want string
		builds     int
	}{
		{r, "baker", "for the cpu", 1},
		{r, "blind", "anything", 1},
		{r.in("cuda"), "baker", "for cuda", 1},
		{r.in("cuda"), "blind", "anything", 0},
		{r, "baker", "for the cpu", 0},
	} {
		before := r.built()
		folder := c.view.installs(clients(t)[2], r.home(), c.name)
		if b, err := os.ReadFile(filepath.Join(folder, c.name+".py")); err != nil || !strings.Contains(string(b), `"for": "`+c.want+`"`) {
			t.Errorf("%s of %s: %v %s, want %q", c.name, c.view.base, err, b, c.want)
		}
		if got := r.built() - before; got != c.builds {
			t.Errorf("%s of %s: %d builds, want %d", c.name, c.view.base, got, c.builds)
		}
	}
}
