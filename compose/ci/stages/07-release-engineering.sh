#!/usr/bin/env bash
# Stage 7, release engineering: one version, built once, described, signed, deployed, and taken back when it does not work.
#
# In:   CI_RELEASE         true pushes and deploys; anything else builds and describes only
#       CI_TAG             the git tag of this release, if there is one
#       CI_REGISTRY, CI_IMAGE          registry.example.org, group/name: the private registry (default: no image)
#       CI_REGISTRY_USER, CI_REGISTRY_PASSWORD_FILE   its login; the password only ever from a file
#       CI_IMAGE_BUILDER   buildah (default), docker or buildctl
#       CI_COSIGN_KEY      key file or URI of OpenBao's transit engine (hashivault://name): then the image is signed
#       CI_APP_NAME        app in omni, from the compose file at the top with `image: ${CI_IMAGE_REF}`; CI_DEPLOY, CI_ROLLBACK are run instead
#       CI_VERIFY          command that ends with 0 when the new release works; asked for CI_VERIFY_SECONDS (default 120)
# Out:  07-release-engineering.json, dist/, sbom.json, release.json (version, image with digest, hashes of everything built)
# Fails also when a rollback was needed and worked: the release did not.
STAGE_OPTIONS=''
# shellcheck source=compose/ci/stages/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
stage 07 release-engineering "$@"

check version python3 "$STAGES/release.py" version
version=$(python3 "$STAGES/release.py" print 2>/dev/null) || stage_end
mkdir -p "$CI_OUT/dist"

if has_python; then check package-python pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$CI_OUT/dist" .; fi
if has_node; then check package-node npm pack --silent --pack-destination "$CI_OUT/dist"; fi
if has_rust; then check package-rust cargo build --release --locked; fi

if command -v syft >/dev/null; then
  check sbom syft scan dir:. -q -o "cyclonedx-json=$CI_OUT/sbom.json"
elif has_python && [ -f requirements.txt ]; then
  check sbom cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-file "$CI_OUT/sbom.json"
elif has_python; then
  check sbom cyclonedx-py environment --pyproject pyproject.toml --output-file "$CI_OUT/sbom.json" "$(command -v python3)"
else
  missing sbom syft
fi

releasing=${CI_RELEASE:-false}
# works: asks CI_VERIFY until it agrees, or its time is up.
# shellcheck disable=SC2317 # check calls it
works() {
  local end=$((SECONDS + ${CI_VERIFY_SECONDS:-120}))
  until bash -c "$CI_VERIFY"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 2
  done
}
failed() { grep -q '"verdict":"\(fail\|unjudged\)"' "$CHECKS"; }
reference='' digest=''
if [ -n "${CI_REGISTRY:-}" ] && [ -n "${CI_IMAGE:-}" ] && [ -f Dockerfile ]; then
  reference=$CI_REGISTRY/$CI_IMAGE:$version
  builder=${CI_IMAGE_BUILDER:-buildah}
  labels=(--label "org.opencontainers.image.version=$version" --label "org.opencontainers.image.revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)")
  case $builder in
    buildah) check image buildah build --tag "$reference" "${labels[@]}" . ;;
    docker) check image docker build --tag "$reference" "${labels[@]}" . ;;
    buildctl)
      push=false
      [ "$releasing" != true ] || push=true
      check image buildctl build --frontend dockerfile.v0 --local context=. --local dockerfile=. \
        --output "type=image,name=$reference,push=$push" --metadata-file "$CI_OUT/image.json"
      ;;
    *) printf 'CI_IMAGE_BUILDER is %s; it is buildah, docker or buildctl\n' "$builder" >&2; exit 3 ;;
  esac
  if [ "$releasing" = true ] && ! failed && [ -n "${CI_REGISTRY_USER:-}" ]; then
    [ -r "${CI_REGISTRY_PASSWORD_FILE:-}" ] || { printf 'CI_REGISTRY_PASSWORD_FILE is not a file that can be read\n' >&2; exit 3; }
    login() { "$1" login --username "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY" <"$CI_REGISTRY_PASSWORD_FILE"; }
    case $builder in buildah | docker) login "$builder" >/dev/null 2>&1 || note login "$builder" fail 0 "$CI_REGISTRY refuses user $CI_REGISTRY_USER" ;; esac
  fi
  if [ "$releasing" = true ] && ! failed; then
    case $builder in
      buildah)
        check push buildah push --digestfile "$CI_OUT/digest" "$reference"
        digest=$(cat "$CI_OUT/digest" 2>/dev/null || true)
        ;;
      docker)
        check push docker push "$reference"
        digest=$(docker inspect --format '{{index .RepoDigests 0}}' "$reference" 2>/dev/null | sed 's/.*@//' || true)
        ;;
      buildctl) digest=$(jq -r '.["containerimage.digest"] // empty' "$CI_OUT/image.json" 2>/dev/null || true) ;;
    esac
    if ! failed && [[ ! $digest =~ ^sha256:[0-9a-f]{64}$ ]]; then note digest "$builder" fail 0 "the registry gave no digest for $reference"; fi
    if ! failed && command -v trivy >/dev/null; then check scan-image trivy image --severity CRITICAL --exit-code 1 --no-progress "$CI_REGISTRY/$CI_IMAGE@$digest"; fi
    if ! failed && [ -n "${CI_COSIGN_KEY:-}" ]; then
      # By digest: a tag can be moved after it was signed.
      check sign cosign sign --yes --key "$CI_COSIGN_KEY" "$CI_REGISTRY/$CI_IMAGE@$digest"
    fi
  fi
else
  skip image "needs CI_REGISTRY, CI_IMAGE and a Dockerfile"
fi

check record python3 "$STAGES/release.py" record "${reference:--}" "${digest:--}"

if [ "$releasing" != true ]; then
  skip deploy "CI_RELEASE is not true"
elif failed; then
  skip deploy "not deployed, because of the above"
elif [ -z "${CI_APP_NAME:-}${CI_DEPLOY:-}" ]; then
  skip deploy "neither CI_APP_NAME nor CI_DEPLOY is set"
else
  export CI_IMAGE_REF=${reference:+$CI_REGISTRY/$CI_IMAGE@$digest} CI_VERSION=$version
  if [ -n "${CI_DEPLOY:-}" ]; then check deploy bash -c "$CI_DEPLOY"; else check deploy omni deploy --name "$CI_APP_NAME" --yes --wait; fi
  if ! failed; then
    if [ -n "${CI_VERIFY:-}" ]; then check verify works; else skip verify "CI_VERIFY is not set; omni's own health gate is all that looked"; fi
  fi
  if failed; then
    if [ -n "${CI_ROLLBACK:-}" ]; then check rollback bash -c "$CI_ROLLBACK"; else check rollback omni rollback "${CI_APP_NAME:-}" --wait; fi
  fi
fi
stage_end
