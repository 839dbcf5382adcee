"""Random MusicGen checkpoints of 32 channels, for tests: words only, or with a melody."""

from __future__ import annotations

from pathlib import Path


def save(folder: Path, rate: int, ratios: list[int], melody: bool = False) -> None:
    """A checkpoint folder whose codec makes `rate` samples a second, a frame of them the product of `ratios`.

    melody: a MusicGen melody, which hears 20 frames of chroma.
    """
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers.models.musicgen_melody.configuration_musicgen_melody import MusicgenMelodyDecoderConfig

    decoder = MusicgenMelodyDecoderConfig if melody else transformers.MusicgenDecoderConfig
    parts = {
        "text_encoder": transformers.T5Config(
            vocab_size=8, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, is_encoder_decoder=False,
            use_cache=False,
        ),
        "audio_encoder": transformers.EncodecConfig(
            sampling_rate=rate, num_filters=4, upsampling_ratios=ratios, hidden_size=8, codebook_size=16,
            num_lstm_layers=1, target_bandwidths=[0.8],
        ),
        "decoder": decoder(
            vocab_size=16, pad_token_id=16, bos_token_id=16, hidden_size=32, ffn_dim=32, num_hidden_layers=1,
            num_attention_heads=2, num_codebooks=4, dropout=0.0,
        ),
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if melody:
            model = transformers.MusicgenMelodyForConditionalGeneration(
                transformers.MusicgenMelodyConfig(**parts, chroma_length=20)
            )
        else:
            model = transformers.MusicgenForConditionalGeneration(transformers.MusicgenConfig(**parts))
        for layer in model.audio_encoder.quantizer.layers:
            layer.codebook.embed.normal_()
        heard = [*model.decoder.parameters(), *model.enc_to_dec_proj.parameters()]
        heard += model.audio_enc_to_dec_proj.parameters() if melody else []
        with torch.no_grad():  # strong enough weights that caption and melody matter
            for weight in heard:
                weight.mul_(10.0 if weight.dim() > 1 else 1.0)
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "a": 2, "siren": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>").save_pretrained(
        folder
    )
    if melody:
        (folder / "preprocessor_config.json").write_text('{"n_fft": 1024, "hop_length": 256, "num_chroma": 12}')
