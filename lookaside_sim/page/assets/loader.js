// Unpacks the page's script and runs it; the policy knows both by their hashes.

function sayWhy(error) {
  document.getElementById("why").textContent = `This page needs a browser of 2023 or later: ${error.message}`;
}

try {
  const packed = atob(document.getElementById("code").textContent);
  const bytes = Uint8Array.from(packed, character => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  new Response(stream).text().then(text => {
    const script = document.createElement("script");
    script.type = "module";
    script.textContent = text;
    document.body.append(script);
  }).catch(sayWhy);
} catch (error) {
  sayWhy(error);
}
