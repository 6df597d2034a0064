// Private keys as cosign keeps them: PEM around JSON, encrypted by a passphrase.
#pragma once

#include <string>
#include <string_view>

// Is it one, by its first line?
bool is_cosign_key(std::string_view pem);
// The key in PKCS#8's DER. Throws Error for another form, and for a wrong passphrase.
std::string decrypt_cosign_key(std::string_view pem, std::string_view passphrase);
